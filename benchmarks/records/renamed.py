"""Old names in records: of classes and arguments, of fields and settings, and of identifiers in the source.

Deleted at 1.0. Extends `lightning_modules.checkpoints.renamed`, which says how tables are written.
"""

from typing import Any

from lightning_modules.checkpoints import renamed as models

MODULES: dict[str, str] = {
    **models.MODULES,
    "benchmarks.board.clips": "benchmarks.leaderboard.clips",
    "benchmarks.board.html": "benchmarks.leaderboard.html",
    "benchmarks.board.markdown": "benchmarks.leaderboard.markdown",
    "benchmarks.board.published": "benchmarks.runs.published",
    "benchmarks.board.ranking": "benchmarks.leaderboard.ranking",
    "benchmarks.board.tables": "benchmarks.leaderboard.csv_latex",
    "benchmarks.board.text": "benchmarks.leaderboard.formatting",
    "benchmarks.canonical": "benchmarks.utils.hashing",
    "benchmarks.case": "benchmarks.evaluation.query",
    "benchmarks.clip_files": "benchmarks.evaluation.video_files",
    "benchmarks.commands.folder_exam": "benchmarks.evaluation.folder",
    "benchmarks.commands.listing": "benchmarks.commands.list",
    "benchmarks.commands.sample": "benchmarks.commands.sample.cli",
    "benchmarks.commands.sample_inbetween": "benchmarks.commands.sample.inbetween",
    "benchmarks.commands.sample_modes": "benchmarks.commands.sample.motion_appearance",
    "benchmarks.commands.sample_noise": "benchmarks.commands.sample.generate",
    "benchmarks.commands.sampling": "benchmarks.commands.sample.common",
    "benchmarks.commands.show": "benchmarks.commands.inspect",
    "benchmarks.data_config": "benchmarks.config.build",
    "benchmarks.download": "benchmarks.pretrained.download",
    "benchmarks.errors": "benchmarks.utils.errors",
    "benchmarks.evaluation": "benchmarks.evaluation.callback",
    "benchmarks.feature_cache": "benchmarks.evaluation.feature_cache",
    "benchmarks.gallery": "benchmarks.evaluation.gallery",
    "benchmarks.intervals": "benchmarks.utils.statistics",
    "benchmarks.job": "benchmarks.runs.job",
    "benchmarks.joining": "benchmarks.runs.join_stages",
    "benchmarks.launching": "benchmarks.runs.launchers",
    "benchmarks.launching.engines": "benchmarks.runs.launchers.backends",
    "benchmarks.launching.launch": "benchmarks.runs.launchers.scheduler",
    "benchmarks.launching.plan": "benchmarks.runs.launchers.submit",
    "benchmarks.launching.table": "benchmarks.runs.launchers.status_table",
    "benchmarks.launching.work": "benchmarks.runs.launchers.worker",
    "benchmarks.leaderboard": "benchmarks.commands.leaderboard",
    "benchmarks.metrics.difference": "benchmarks.metrics.paired_test",
    "benchmarks.metrics.featured": "benchmarks.metrics.distribution",
    "benchmarks.metrics.fresh_batches": "benchmarks.metrics.over_fresh_samples",
    "benchmarks.metrics.kept": "benchmarks.metrics.gathered",
    "benchmarks.metrics.paired": "benchmarks.metrics.reference",
    "benchmarks.metrics.streamed": "benchmarks.metrics.streaming_frechet",
    "benchmarks.per_clip": "benchmarks.records.clip_scores",
    "benchmarks.pixels": "benchmarks.utils.pixels",
    "benchmarks.plan": "benchmarks.runs.spec",
    "benchmarks.records": "benchmarks.records.record",
    "benchmarks.running": "benchmarks.runs.runner",
    "benchmarks.sitting": "benchmarks.evaluation.task_evaluator",
    "benchmarks.source": "benchmarks.records.source_tree",
    "benchmarks.speed": "benchmarks.commands.speed",
    "benchmarks.tasks": "benchmarks.evaluation.tasks",
    "benchmarks.timing": "benchmarks.profiling",
    "benchmarks.timing.dynamics": "benchmarks.profiling.dynamics",
    "benchmarks.timing.grid": "benchmarks.profiling.grid",
    "benchmarks.timing.inbetweening": "benchmarks.profiling.inbetweening",
    "benchmarks.timing.latent_dynamics": "benchmarks.profiling.latent_dynamics",
    "benchmarks.timing.measure": "benchmarks.profiling.measure",
    "benchmarks.timing.metrics": "benchmarks.profiling.metrics",
    "benchmarks.timing.pipe": "benchmarks.profiling.pipe",
    "benchmarks.timing.table": "benchmarks.profiling.table",
    "benchmarks.timing.vid_ode": "benchmarks.profiling.vid_ode",
    "benchmarks.timing.worker": "benchmarks.profiling.worker",
    "benchmarks.training": "benchmarks.lightning_cli",
    "benchmarks.verbs": "benchmarks.evaluation.capabilities",
    "benchmarks.weight_files": "benchmarks.pretrained.readers",
    "benchmarks.weights": "benchmarks.pretrained.registry",
    "datamodules.archives": "datamodules.storage.archives",
    "datamodules.detectors": "datamodules.storage.detectors",
    "datamodules.draws": "datamodules.base.rng",
    "datamodules.facts": "datamodules.base.metadata",
    "datamodules.fields": "datamodules.base.gridded",
    "datamodules.frames": "datamodules.storage.frames",
    "datamodules.keypoints": "datamodules.storage.keypoints",
    "datamodules.loading": "datamodules.base.dataloader",
    "datamodules.module": "datamodules.base.module",
    "datamodules.parallel": "datamodules.storage.prefetch",
    "datamodules.people": "datamodules.base.subject_split",
    "datamodules.pieces": "datamodules.storage.clip_views",
    "datamodules.prepared": "datamodules.base.published",
    "datamodules.recordings": "datamodules.storage.decoding",
    "datamodules.remote": "datamodules.storage.remote",
    "datamodules.simulated": "datamodules.base.simulated",
    "datamodules.source": "datamodules.base.clip_source",
    "datamodules.splits": "datamodules.base.splits",
    "datamodules.stills": "datamodules.storage.image_sequences",
    "datamodules.store": "datamodules.storage.store",
    "datamodules.stored": "datamodules.base.stored",
    "datamodules.tfrecord": "datamodules.storage.tfrecord",
    "datamodules.video": "datamodules.storage.video",
}
"""Module -> module."""

CLASSES: dict[str, str] = {
    **models.CLASSES,
    "benchmarks.case.Case": "benchmarks.evaluation.query.Query",
    "benchmarks.commands.folder_exam.FolderExam": "benchmarks.evaluation.folder.FolderEvaluation",
    "benchmarks.download.DownloadError": "datamodules.storage.download.DownloadError",
    "benchmarks.metrics.base.Summary": "benchmarks.records.parts.Measurement",
    "benchmarks.figures.inbetweening.MeanOfDraws": "benchmarks.figures.inbetweening.MeanOfSamples",
    "benchmarks.figures.mode_gan.FrameRates": "benchmarks.figures.mode_gan.FrameRateGrids",
    "benchmarks.figures.vid_ode_frames.FrameRates": "benchmarks.figures.vid_ode_frames.FrameRateStrips",
    "benchmarks.metrics.featured.SetMetric": "benchmarks.metrics.distribution.DistributionMetric",
    "benchmarks.metrics.fresh_batches.FreshBatches": "benchmarks.metrics.over_fresh_samples.OverFreshSamples",
    "benchmarks.metrics.kept.KeepsRows": "benchmarks.metrics.gathered.GatheredMetric",
    "benchmarks.metrics.paired.PairedMetric": "benchmarks.metrics.reference.ReferenceMetric",
    "benchmarks.metrics.paired.PerClip": "benchmarks.records.clip_scores.PerClip",
    "benchmarks.records.Budget": "lightning_modules.training_cost.TrainingCost",
    "benchmarks.records.Sampling": "benchmarks.records.parts.Throughput",
    "benchmarks.sitting.Sitting": "benchmarks.evaluation.task_evaluator.TaskEvaluator",
    "datamodules.facts.Facts": "datamodules.base.metadata.Metadata",
    "datamodules.fields.FieldData": "datamodules.base.gridded.GriddedDataModule",
    "datamodules.fields.Fields": "datamodules.base.gridded.GriddedSource",
    "datamodules.people.PeopleData": "datamodules.base.subject_split.SubjectSplitDataModule",
    "datamodules.pieces.KeypointPieces": "datamodules.storage.clip_views.KeypointClipViews",
    "datamodules.pieces.Piece": "datamodules.storage.clip_views.ClipView",
    "datamodules.pieces.Pieces": "datamodules.storage.clip_views.ClipViews",
    "datamodules.prepared.PreparedData": "datamodules.base.published.PublishedDataModule",
    "datamodules.recordings.Moments": "datamodules.storage.decoding.TimedFrames",
    "datamodules.simulated.SimulatedData": "datamodules.base.simulated.SimulatedDataModule",
    "datamodules.stored.StoredData": "datamodules.base.stored.StoredDataModule",
}
"""Old class path -> new class path, beyond what MODULES says."""

ARGUMENTS: dict[tuple[str, str], str] = {
    **models.ARGUMENTS,
    ("benchmarks.evaluation.callback.Evaluation", "draws"): "num_samples",
    ("benchmarks.evaluation.tasks.Predict", "given"): "context",
    ("benchmarks.figures.inbetweening.MeanOfSamples", "draws"): "num_samples",
    ("benchmarks.figures.vid_ode_frames.Composition", "given"): "context",
    ("benchmarks.figures.vid_ode_frames.FrameRateStrips", "shown"): "context",
    ("benchmarks.figures.vid_ode_frames.FrameRateStrips", "shown_rate"): "context_rate",
    ("benchmarks.figures.vid_ode_frames.FrameRateStrips", "verb"): "capability",
    ("benchmarks.figures.vid_ode_frames.FrameStrips", "given"): "context",
    ("benchmarks.figures.vid_ode_frames.FrameStrips", "verb"): "capability",
    ("benchmarks.figures.vid_ode_frames.UnseenTimes", "shown"): "context",
    ("benchmarks.figures.winds.WindVectors", "given"): "context",
    ("benchmarks.metrics.diversity.BestOfSSIM", "draws"): "num_samples",
    ("benchmarks.metrics.fid.FrechetInceptionDistance", "draws"): "num_samples",
    ("benchmarks.metrics.fvd.FrechetVideoDistance", "draws"): "num_samples",
    ("*", "examined"): "test_split",
    ("datamodules.sampling.MissingFrames", "given"): "context",
    ("datamodules.sampling.MissingPixels", "given"): "context",
    ("datamodules.weizmann.WeizmannStrips", "pieces"): "frames_per_clip",
}
"""(New class path, old argument) -> new argument."""

VALUES: dict[tuple[str, str, Any], Any] = {
    **models.VALUES,
    ("benchmarks.metrics.inception.InceptionScore", "of", "answer"): "prediction",
    ("benchmarks.metrics.inception.InceptionScore", "of", "truth"): "target",
}
"""(New class path, new argument, old value) -> new value."""

GROUPS = {
    "evaluation": "benchmarks.evaluation.callback.Evaluation",
    "averaging": "lightning_modules.callbacks.weight_averaging.WeightAveraging",
    "budget": "lightning_modules.callbacks.budget.Budget",
    "checkpoints": "lightning_modules.callbacks.checkpoint.Checkpoints",
}
"""The class whose arguments a group of a run's configuration holds: its ARGUMENTS rename them."""

FIELDS: dict[str, str] = {
    "budget.generator_updates": "updates",
    "sampling": "throughput",
}
"""Old -> new name of a field of the record, by its path: `"budget.generator_updates": "updates"`."""

SETTINGS: dict[str, str] = {
    "asked": "target_frames",
    "draw_seed": "sample_seed",
    "draws": "num_samples",
    "shown": "context_frames",
    "task.given": "context",
}
"""Old -> new key of the protocol's settings and of the task, by its path: `"draws": "num_samples"`,
`"task.given": "context"`. A `*` in the path is any one key. The protocol's id follows."""

METRICS: dict[str, str] = {}
"""Old -> new name of a metric, in `metrics` and in the protocol's settings."""

ROWS: dict[tuple[str, str], str] = {}
"""(Table, old label) -> new label of a row."""

IDENTIFIERS: dict[str, str | tuple[str, ...]] = {
    "ERASE": "MISSING_PIXELS",
    "Facts": "Metadata",
    "FieldData": "GriddedDataModule",
    "Fields": "GriddedSource",
    "KeypointPieces": "KeypointClipViews",
    "LOSE": "MISSING_FRAMES",
    "MOST_MISSING": "MAX_MISSING_SHARE",
    "Motion pieces": "segments",
    "PICK": "FRAME_CHOICE",
    "PLACE": "WINDOW_START",
    "PeopleData": "SubjectSplitDataModule",
    "Piece": "ClipView",
    "Pieces": "ClipViews",
    "Predict:given": "context",
    "PreparedData": "PublishedDataModule",
    "ROOM": "BUFFER_BYTES",
    "SEEN": "MIN_CONFIDENCE",
    "SimulatedData": "SimulatedDataModule",
    "StoredData": "StoredDataModule",
    "_Losing": "_WithMissing",
    "_View": "_BatchRequests",
    "_as_it_is": "_identity",
    "_critic_turn": "_critic_step",
    "_generator_turn": "_generator_step",
    "_joint_turn": "_joint_step",
    "_judged": ("_critic_inputs", "critic_inputs"),
    "_lying": "_find_archive",
    "_moments": "_decode_frames",
    "_move": "_optimizer_step",
    "_open_keypoint_pieces": "_open_keypoint_views",
    "_open_pieces": "_open_views",
    "_opened": "_open_netcdf",
    "_pieces": "_views",
    "_settle": "_sync_to_disk",
    "_some": "_choose_first",
    "ahead": "prefetch_streams",
    "answer": "prediction",
    "answerable_by": "supported_by",
    "answers": "predictions",
    "ask": "run",
    "bears_gaps": "accepts_present_mask",
    "carve": "hold_out",
    "case": "query",
    "check_noted": "check_recorded_sha256",
    "check_own": "check_writable",
    "check_room": "check_free_space",
    "completed": "compose_full_clip",
    "damaged": "find_damaged_clips",
    "decoded": "decode_recordings",
    "detected": "detect_keypoints",
    "draw": ("sample_index", "sample", "generate_fakes"),
    "drawn": ("sampled", "query"),
    "draws": "num_samples",
    "enlarged": "detection_size",
    "facts": "metadata",
    "facts_of": "metadata_of",
    "fade": "weight_by_confidence",
    "jet": "all_derivatives",
    "last": "keep_last",
    "measured": "crop_to_scored",
    "missing": "present_argument",
    "numbered": "images_in",
    "opened": "open_store",
    "paired": "supervised",
    "pieces_of": "consecutive_views",
    "place": "index",
    "pose": "make_query",
    "ranged": "value_ranges",
    "refusal": "unsupported_reason",
    "sees": "field_input",
    "still": "copy_last_init",
    "stills": "read_image_sequence",
    "summary": "measurement",
    "truth": ("reference", "target"),
    "verb": "capability",
    "with_losses": "drop_frames",
    "with_shown": "merge_observed",
    "with_sights": "filter_detected",
    "ClipDataModule:examined": "test_split",
    "NoaaWinds:noted at first sight": "recorded on first use",
    "MissingFrames:given": "context",
    "MissingPixels:given": "context",
    "WeizmannStrips:none published; noted at first sight": "none published; recorded on first use",
    "WeizmannStrips:pieces": "frames_per_clip",
    "_WithMissing:given": "context",
}
"""Old -> new identifier in the source (attribute, method, parameter, keyword, class, key in quotes), for the proof that
old and new code are equal. `"Sitting:mark"` holds in the definition that was called `Sitting` only. Several new names
are possible; within one definition a name has one."""


def identifiers() -> dict[str, str | tuple[str, ...]]:
    """IDENTIFIERS, with the bare names of classes that have others."""
    bare = {old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in CLASSES.items()}
    return {**{old: new for old, new in bare.items() if old != new}, **IDENTIFIERS}


def earlier_paths(path: str) -> list[str]:
    """The class paths, older ones first, that a class of today may have had."""
    found = [old for old, new in CLASSES.items() if new == path]
    module, _, name = path.rpartition(".")
    return [*found, *(f"{old}.{name}" for old, new in MODULES.items() if new == module), path]


def names() -> models.Names:
    """The names of classes and arguments, as the tables are now."""
    return models.Names(MODULES, CLASSES, ARGUMENTS, VALUES)
