"""The process in which `benchmarks speed` measures one of our systems: actual updates by a Trainer."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.hooks import RemovableHandle

from benchmarks.config.build import build_data_of
from benchmarks.config.resolve import with_option
from benchmarks.evaluation.capabilities import Generates, Inbetweens, Interpolates, Predicts
from benchmarks.profiling.dynamics import measured
from benchmarks.profiling.measure import CommandPipe, FlopCount, Stopwatch, matmul_rate, peak_memory, timed
from benchmarks.utils.errors import UserError
from datamodules.base.module import ClipDataModule
from datamodules.clip import Batch, KeypointClip, Sample, Trajectory, VideoClip
from lightning_modules.callbacks.compile import Acceleration
from lightning_modules.checkpoints.build import build
from lightning_modules.dynamics.base import Dynamics
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.system import System

_LOADING_SECONDS = 2.0


def main() -> None:
    """Serve the commands `open`, then any number of `step` and `count`, then `rest`."""
    pipe = CommandPipe()
    try:
        _serve(pipe)
    except UserError as error:
        pipe.reply(error=str(error))


def _serve(pipe: CommandPipe) -> None:
    spec = pipe.spec
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    device = spec["device"]
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device must be cpu, or cuda where there is one; got {device}.")
    data = None if spec["data"] is None else _data(spec)
    system = build(spec["model"], trust=[spec["model"]["class_path"].split(".")[0]])
    shape = _shape(spec, system, data)
    fps = spec["fps"] or _rate(data, system)
    if spec["dynamics"] and not isinstance(system, LatentDynamicsGAN):
        raise UserError(f"--dynamics is for a LatentDynamicsGAN; this is a {type(system).__name__}. Leave it out.")
    batch = _batch(**shape, fps=fps)
    trains = type(system).training_step is not LightningModule.training_step
    assert pipe.next() == "open"
    pipe.reply(
        model=type(system).__name__,
        mode=getattr(system, "mode", None),
        parameters=sum(p.numel() for p in system.parameters()),
        device=torch.cuda.get_device_name() if device == "cuda" else f"CPU, {spec['threads']} threads",
        batch=shape | {"fps": fps},
        trains=trains,
    )
    acceleration = Acceleration(channels_last=spec["channels_last"], compile=spec["compile"])
    trainer = Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=spec["precision"],
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[acceleration, _Measure(pipe, device)],
    )
    if trains:
        trainer.fit(system, _OnCommand(batch._replace(clip=_training_sample(system, batch.clip)), pipe))
    else:
        pipe.next()
    sample = {} if spec["no_sampling"] else _sampling(system.to(device), batch, fps, device, spec)
    dynamics = {}
    if spec["dynamics"]:
        assert isinstance(system, LatentDynamicsGAN)
        dynamics = measured(system.cpu().train(), batch, spec["steps"])
    loading = _loading(data) if spec["loading"] else "not timed (--no-data)"
    pipe.reply(sample=sample, loading=loading, dynamics=dynamics)


class _OnCommand:
    """A loader that yields the same batch on each `step` or `count`, and ends on any other command."""

    def __init__(self, batch: Batch, pipe: CommandPipe) -> None:
        self.batch = batch
        self.pipe = pipe
        self.command = ""

    def __len__(self) -> int:
        return 2**31  # so that Lightning does not fetch ahead to see whether this is the last

    def __iter__(self) -> Iterator[Batch]:
        while (command := self.pipe.next()) in ("step", "count"):
            self.command = command
            yield self.batch


class _Measure(Callback):
    """Times every training batch from its arrival on the device to the last hook, or counts its operations."""

    def __init__(self, pipe: CommandPipe, device: str) -> None:
        self.pipe = pipe
        self.device = device
        self.watch = Stopwatch(device)
        self.count: FlopCount | None = None
        self.evaluations: list[int] = []
        """Of each call of a dynamics in a counted step."""
        self.hooks: list[RemovableHandle] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the stopwatch or the count."""
        assert isinstance(trainer.train_dataloader, _OnCommand)
        if trainer.train_dataloader.command == "count":
            torch.compiler.set_stance("force_eager")  # compiled code hides its operations
            self.count = FlopCount()
            self.count.__enter__()
            self.evaluations = []
            members = [module for module in pl_module.modules() if isinstance(module, Dynamics)]
            self.hooks = [member.register_forward_hook(self._on_forward) for member in members]
        self.watch.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Reply with the measurements."""
        seconds = self.watch.stop()
        if self.count is None:
            self.pipe.reply(**seconds, matmul=matmul_rate(self.device))
            return
        self.count.__exit__(None, None, None)
        torch.compiler.set_stance("default")
        for hook in self.hooks:
            hook.remove()
        last = getattr(pl_module, "function_evaluations", None)
        # the last call may solve for less than a clip: MODE-GAN's diversity loss needs the initial value alone
        evaluations = None if last is None else max([last, *self.evaluations])
        self.pipe.reply(flop=self.count.flop, memory=peak_memory(self.device), evaluations=evaluations)
        self.count = None

    def _on_forward(self, member: Dynamics, inputs: Any, output: Any) -> None:
        self.evaluations.append(member.function_evaluations)


def _data(spec: dict[str, Any]) -> ClipDataModule:
    config = spec["data"]
    if spec["batch_size"] is not None:
        config = with_option(config, f"batch_size={spec['batch_size']}")
    return build_data_of(config, "data")


def _shape(spec: dict[str, Any], system: System, data: ClipDataModule | None) -> dict[str, int]:
    """The options, else the shape of the data, else that of the generator, else the defaults."""
    defaults = {"size": 64, "frames": 10, "batch_size": 8, "channels": 3}
    made_for = {key: getattr(getattr(system, "generator", None), key, None) for key in defaults}
    defaults |= {key: value for key, value in made_for.items() if isinstance(value, int)}
    if data is not None:
        from_data = {"size": data.size[0], "frames": data.sampling.num_frames, "batch_size": data.batch_size}
        defaults |= from_data | {"channels": data.channels}
    return {key: defaults[key] if spec[key] is None else spec[key] for key in defaults}


def _rate(data: ClipDataModule | None, system: System) -> float:
    """Frames per second of the data's samples; the default rate where data keep the rates of their videos."""
    rate = float(getattr(data, "frame_rate", None) or _default_rate(system))
    return rate if data is None else rate / getattr(data.sampling, "stride", 1)


def _default_rate(system: System) -> float:
    """25 frames per second; for latent-dynamics GANs the rate of the grid that they were published for."""
    return (system.network.frames - 1) / system.seconds_per_unit if isinstance(system, LatentDynamicsGAN) else 25.0


def _batch(size: int, frames: int, batch_size: int, channels: int, fps: float) -> Batch:
    pixels = 2 * torch.rand(batch_size, frames, channels, size, size) - 1
    times = (torch.arange(frames) / fps).expand(batch_size, -1).contiguous()
    ids = torch.arange(batch_size)
    present = torch.ones(batch_size, frames, dtype=torch.bool)
    return Batch(VideoClip(pixels, times), ids, ids, torch.full_like(ids, -1), present)


def _training_sample(system: System, clip: Sample) -> Sample:
    """What the system trains on, with the clip's frames and times; motions are random, as frames are."""
    if isinstance(system, MotionGAN):
        values = 2 * torch.rand(*clip.times.shape, system.values) - 1
        return (
            Trajectory(values, clip.times)
            if system.heatmaps is None
            else _with_keypoints(clip, values.unflatten(-1, (-1, 2)))
        )
    if isinstance(system, MotionToVideoGAN):
        return _with_keypoints(clip, 2 * torch.rand(*clip.times.shape, system.network.joints, 2) - 1)
    return clip


def _with_keypoints(clip: Sample, keypoints: torch.Tensor) -> KeypointClip:
    assert isinstance(clip, VideoClip)
    return KeypointClip(clip.frames, clip.times, keypoints, torch.ones_like(keypoints[..., 0]))


def _rendered(system: MotionToVideoGAN, times: torch.Tensor, seeds: torch.Tensor) -> VideoClip:
    frames = times.new_zeros(*times.shape, 0, system.network.size, system.network.size)
    keypoints = 2 * torch.rand(*times.shape, system.network.joints, 2, device=times.device) - 1
    return system.render(_with_keypoints(VideoClip(frames, times), keypoints), seeds=seeds)


def _sampling(system: Any, batch: Batch, fps: float, device: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Each capability at the clips' frame rate and at four times that rate."""
    frames, times = (field.to(device) for field in batch.clip)
    seeds, half = batch.ids.to(device), frames.shape[1] // 2
    observed, ends = VideoClip(frames[:, :half], times[:, :half]), [0, -1]
    fine = torch.arange(4 * times.shape[1] - 3, device=device) / (4 * fps)
    fine = fine.expand(len(times), -1)
    capabilities: dict[str, tuple[type, Callable[[torch.Tensor], Any], slice]] = {
        "generate": (Generates, lambda query: system.generate(query, seeds=seeds), slice(0, None)),
        "predict": (Predicts, lambda query: system.predict(observed, query, seeds=seeds), slice(half, None)),
        "interpolate": (
            Interpolates,
            lambda query: system.interpolate(VideoClip(frames, times), query, seeds=seeds),
            slice(0, None),
        ),
        "inbetween": (
            Inbetweens,
            lambda query: system.inbetween(VideoClip(frames[:, ends], times[:, ends]), query, seeds=seeds),
            slice(1, -1),
        ),
        "render": (MotionToVideoGAN, lambda query: _rendered(system, query, seeds), slice(0, None)),
    }
    found = {}
    system.eval()
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled="bf16" in spec["precision"]):
        for name, (capability, run, target) in capabilities.items():
            if not isinstance(system, capability):
                continue
            first = target.start and 4 * (target.start - 1) + 1
            for rate, query in (("1x", times[:, target]), ("4x", fine[:, first : target.stop])):
                try:
                    seconds = timed(partial(run, query), device, spec["steps"])
                except UserError:
                    if rate == "1x":
                        raise
                    continue  # these times are off the grid of a discrete dynamics
                evaluations = getattr(system, "function_evaluations", 0)
                found[f"{name} {rate}, {query.shape[1]} frames"] = {**seconds, "function_evaluations": evaluations}
    return found


def _loading(data: ClipDataModule | None) -> str:
    """Clips per second of the training loader after a warm-up; the data are prepared first where possible."""
    if data is None:
        return "no data given"
    try:
        data.prepare_data()
        data.setup("fit")
    except (UserError, OSError) as error:
        return f"the data are unavailable ({error})"
    loader = data.train_dataloader()
    for _ in loader:
        pass
    clips, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < _LOADING_SECONDS:
        for batch in loader:
            clips += len(batch.ids)
            if time.perf_counter() - start > _LOADING_SECONDS:
                break
    return f"{clips / seconds:,.0f} clips/s, one process"


if __name__ == "__main__":
    main()
