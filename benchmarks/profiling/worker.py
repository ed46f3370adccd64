"""The process in which `benchmarks speed` measures one of our systems: real updates of a real Trainer."""

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
from benchmarks.profiling.measure import FlopCount, Orders, Stopwatch, matmul_rate, peak_memory, timed
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
    """Answer orders: `open`, then `step` and `count` as often as wished, then `rest`."""
    orders = Orders()
    try:
        _serve(orders)
    except UserError as error:
        orders.answer(error=str(error))


def _serve(orders: Orders) -> None:
    spec = orders.spec
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
    assert orders.next() == "open"
    orders.answer(
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
        callbacks=[acceleration, _Measure(orders, device)],
    )
    if trains:
        trainer.fit(system, _Ordered(batch._replace(clip=_learned(system, batch.clip)), orders))
    else:
        orders.next()
    sample = {} if spec["no_sampling"] else _sampling(system.to(device), batch, fps, device, spec)
    dynamics = {}
    if spec["dynamics"]:
        assert isinstance(system, LatentDynamicsGAN)
        dynamics = measured(system.cpu().train(), batch, spec["steps"])
    loading = _loading(data) if spec["loading"] else "not timed (--no-data)"
    orders.answer(sample=sample, loading=loading, dynamics=dynamics)


class _Ordered:
    """A loader that gives the same batch whenever it is told to, and ends when told anything but `step` or `count`."""

    def __init__(self, batch: Batch, orders: Orders) -> None:
        self.batch = batch
        self.orders = orders
        self.word = ""

    def __len__(self) -> int:
        return 2**31  # so that Lightning does not fetch ahead to see whether this is the last

    def __iter__(self) -> Iterator[Batch]:
        while (word := self.orders.next()) in ("step", "count"):
            self.word = word
            yield self.batch


class _Measure(Callback):
    """Times every training batch from the device to the last hook, or counts its operations."""

    def __init__(self, orders: Orders, device: str) -> None:
        self.orders = orders
        self.device = device
        self.watch = Stopwatch(device)
        self.count: FlopCount | None = None
        self.evaluations: list[int] = []
        """Of each answer of a dynamics in a step that is counted."""
        self.hooks: list[RemovableHandle] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin."""
        assert isinstance(trainer.train_dataloader, _Ordered)
        if trainer.train_dataloader.word == "count":
            torch.compiler.set_stance("force_eager")  # compiled code hides its operations
            self.count = FlopCount()
            self.count.__enter__()
            self.evaluations = []
            members = [module for module in pl_module.modules() if isinstance(module, Dynamics)]
            self.hooks = [member.register_forward_hook(self._answered) for member in members]
        self.watch.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Answer with what was found."""
        seconds = self.watch.stop()
        if self.count is None:
            self.orders.answer(**seconds, matmul=matmul_rate(self.device))
            return
        self.count.__exit__(None, None, None)
        torch.compiler.set_stance("default")
        for hook in self.hooks:
            hook.remove()
        last = getattr(pl_module, "function_evaluations", None)
        # a step's last answer may be of less than a clip: MODE-GAN's diversity loss asks for the initial value alone
        evaluations = None if last is None else max([last, *self.evaluations])
        self.orders.answer(flop=self.count.flop, memory=peak_memory(self.device), evaluations=evaluations)
        self.count = None

    def _answered(self, member: Dynamics, asked: Any, answer: Any) -> None:
        self.evaluations.append(member.function_evaluations)


def _data(spec: dict[str, Any]) -> ClipDataModule:
    config = spec["data"]
    if spec["batch_size"] is not None:
        config = with_option(config, f"batch_size={spec['batch_size']}")
    return build_data_of(config, "data")


def _shape(spec: dict[str, Any], system: System, data: ClipDataModule | None) -> dict[str, int]:
    """What is asked for, else what the data give, else what the generator is made for, else what is usual."""
    usual = {"size": 64, "frames": 10, "batch_size": 8, "channels": 3}
    made_for = {key: getattr(getattr(system, "generator", None), key, None) for key in usual}
    usual |= {key: value for key, value in made_for.items() if isinstance(value, int)}
    if data is not None:
        given = {"size": data.size[0], "frames": data.sampling.num_frames, "batch_size": data.batch_size}
        usual |= given | {"channels": data.channels}
    return {key: usual[key] if spec[key] is None else spec[key] for key in usual}


def _rate(data: ClipDataModule | None, system: System) -> float:
    """Frames per second of the samples that the data are made to give; the usual rate where they keep their films'."""
    rate = float(getattr(data, "frame_rate", None) or _usual_rate(system))
    return rate if data is None else rate / getattr(data.sampling, "stride", 1)


def _usual_rate(system: System) -> float:
    """25 frames a second, or, of what draws clips from noise, those of the grid that it was published for."""
    return (system.network.frames - 1) / system.seconds_per_unit if isinstance(system, LatentDynamicsGAN) else 25.0


def _batch(size: int, frames: int, batch_size: int, channels: int, fps: float) -> Batch:
    pixels = 2 * torch.rand(batch_size, frames, channels, size, size) - 1
    times = (torch.arange(frames) / fps).expand(batch_size, -1).contiguous()
    ids = torch.arange(batch_size)
    return Batch(
        VideoClip(pixels, times), ids, torch.full_like(ids, -1), torch.ones(batch_size, frames, dtype=torch.bool)
    )


def _learned(system: System, clip: Sample) -> Sample:
    """What the system learns from, with the clip's frames and times: motions are made up as frames are."""
    if isinstance(system, MotionGAN):
        values = 2 * torch.rand(*clip.times.shape, system.values) - 1
        return (
            Trajectory(values, clip.times) if system.heatmaps is None else _moving(clip, values.unflatten(-1, (-1, 2)))
        )
    if isinstance(system, MotionToVideoGAN):
        return _moving(clip, 2 * torch.rand(*clip.times.shape, system.network.joints, 2) - 1)
    return clip


def _moving(clip: Sample, keypoints: torch.Tensor) -> KeypointClip:
    assert isinstance(clip, VideoClip)
    return KeypointClip(clip.frames, clip.times, keypoints, torch.ones_like(keypoints[..., 0]))


def _rendered(system: MotionToVideoGAN, times: torch.Tensor, seeds: torch.Tensor) -> VideoClip:
    frames = times.new_zeros(*times.shape, 0, system.network.size, system.network.size)
    keypoints = 2 * torch.rand(*times.shape, system.network.joints, 2, device=times.device) - 1
    return system.render(_moving(VideoClip(frames, times), keypoints), seeds=seeds)


def _sampling(system: Any, batch: Batch, fps: float, device: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Each verb at the clips' frame rate and at four times it."""
    frames, times = (field.to(device) for field in batch.clip)
    seeds, half = batch.ids.to(device), frames.shape[1] // 2
    shown, ends = VideoClip(frames[:, :half], times[:, :half]), [0, -1]
    fine = torch.arange(4 * times.shape[1] - 3, device=device) / (4 * fps)
    fine = fine.expand(len(times), -1)
    verbs: dict[str, tuple[type, Callable[[torch.Tensor], Any], slice]] = {
        "generate": (Generates, lambda asked: system.generate(asked, seeds=seeds), slice(0, None)),
        "predict": (Predicts, lambda asked: system.predict(shown, asked, seeds=seeds), slice(half, None)),
        "interpolate": (
            Interpolates,
            lambda asked: system.interpolate(VideoClip(frames, times), asked, seeds=seeds),
            slice(0, None),
        ),
        "inbetween": (
            Inbetweens,
            lambda asked: system.inbetween(VideoClip(frames[:, ends], times[:, ends]), asked, seeds=seeds),
            slice(1, -1),
        ),
        "render": (MotionToVideoGAN, lambda asked: _rendered(system, asked, seeds), slice(0, None)),
    }
    found = {}
    system.eval()
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled="bf16" in spec["precision"]):
        for name, (verb, ask, asked) in verbs.items():
            if not isinstance(system, verb):
                continue
            after = asked.start and 4 * (asked.start - 1) + 1
            for rate, query in (("1x", times[:, asked]), ("4x", fine[:, after : asked.stop])):
                try:
                    seconds = timed(partial(ask, query), device, spec["steps"])
                except UserError:
                    if rate == "1x":
                        raise
                    continue  # a discrete dynamics does not know these times
                evaluations = getattr(system, "function_evaluations", 0)
                found[f"{name} {rate}, {query.shape[1]} frames"] = {**seconds, "function_evaluations": evaluations}
    return found


def _loading(data: ClipDataModule | None) -> str:
    """Clips per second of the training loader, warm; the data are prepared first if they can be."""
    if data is None:
        return "no data named"
    try:
        data.prepare_data()
        data.setup("fit")
    except (UserError, OSError) as error:
        return f"the data are not here ({error})"
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
