"""Laws of Vid-ODE's network and of its verbs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from datamodules.clip import VideoClip
from lightning_modules.checkpoints.build import build
from lightning_modules.networks.vid_ode import VidODENetwork
from lightning_modules.networks.warping import warp
from lightning_modules.vid_ode import VidODE
from support.vid_ode_maker import batch, config, make

INTERVAL = 0.04
VERBS = ("predict", "interpolate")
DOUBLE = torch.float64


def shown(clips: int = 2, frames: int = 5, interval: float = INTERVAL, seed: int = 1) -> VideoClip:
    clip = batch(clips, frames, interval=interval, seed=seed).clip
    assert isinstance(clip, VideoClip)
    return clip


def after(*steps: float, clips: int = 2) -> Tensor:
    """Times so many frames after the last of five."""
    return ((torch.tensor(steps, dtype=DOUBLE) + 4) * INTERVAL).expand(clips, -1)


def between(*steps: float, clips: int = 2) -> Tensor:
    return (torch.tensor(steps, dtype=DOUBLE) * INTERVAL).expand(clips, -1)


@torch.no_grad()
def ask(system: VidODE, verb: str, observed: VideoClip, times: Tensor, **more: Any) -> Tensor:
    answer = getattr(system, verb)(observed, times, **more)
    assert torch.equal(answer.times, times)
    return answer.frames


@pytest.mark.parametrize("grid", [None, INTERVAL])
def test_zero_flow_and_full_mask_return_the_frame_before(grid: float | None) -> None:
    system = make(decode_interval=grid)
    last = system.generator.image_decoder[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, 0.0, 0.7, 99.0]))  # flow 0, any difference, mask 1
    observed = shown()
    for verb, frame in (("predict", -1), ("interpolate", 0)):
        times = after(1, 1.5, 3) if verb == "predict" else between(0, 0.5, 1, 3)
        frames = ask(system, verb, observed, times)
        assert_close(frames, observed.frames[:, [frame]].expand_as(frames).float())


def test_a_frame_is_composed_of_flow_difference_and_mask() -> None:
    system, observed = make(channels=3), batch(channels=3).clip
    assert isinstance(observed, VideoClip)
    decoded = system.decode(observed, observed.times[:, -1:] + INTERVAL * torch.arange(1, 4), "last")
    warped, differences, masks, flows = (decoded.parts[n] for n in ("warped", "differences", "masks", "flows"))
    image = (observed.frames[:, -1] + 1) / 2
    for step in range(3):
        image = warp(image, flows[:, step])
        assert_close(warped[:, step], image)
    composed = masks * warped + (1 - masks) * differences
    assert_close(decoded.frames, composed)
    assert bool(((masks > 0) & (masks < 1)).all())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("grid", [None, INTERVAL])
def test_a_clip_in_a_batch_gets_what_it_gets_alone(verb: str, grid: float | None) -> None:
    system, observed = make(decode_interval=grid), shown(3)
    times = after(1, 2, 3.5, clips=3) if verb == "predict" else between(0.5, 1, 2, clips=3)
    together = ask(system, verb, observed, times)
    for row in range(3):
        one = VideoClip(observed.frames[row : row + 1], observed.times[row : row + 1])
        assert_close(ask(system, verb, one, times[row : row + 1]), together[row : row + 1])


def test_clips_may_have_times_of_their_own() -> None:
    system = make(decode_interval=INTERVAL, dynamics={"max_step": 0.02}, network={"code_time": "last_observed"})
    observed = shown(2)
    observed = VideoClip(observed.frames, torch.stack([observed.times[0], observed.times[0] * 1.5]))
    times = torch.stack([observed.times[0, -1] + INTERVAL * torch.tensor([1, 2.5, 3]),
                         observed.times[1, -1] + INTERVAL * torch.tensor([0.3, 1, 4.2])])  # fmt: skip
    together = ask(system, "predict", observed, times)
    for row in range(2):
        one = VideoClip(observed.frames[row : row + 1], observed.times[row : row + 1])
        assert_close(ask(system, "predict", one, times[row : row + 1]), together[row : row + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("verb", VERBS)
def test_on_a_base_grid_frames_at_shared_times_agree_whatever_else_is_asked(verb: str) -> None:
    system, observed = make(decode_interval=INTERVAL), shown()
    place = after if verb == "predict" else between
    coarse = ask(system, verb, observed, place(1, 2, 3))
    fine = ask(system, verb, observed, place(0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3))
    assert_close(fine[:, [1, 5, 9]], coarse, rtol=1e-5, atol=1e-6)
    assert_close(ask(system, verb, observed, place(2.25)), fine[:, [6]], rtol=1e-5, atol=1e-6)
    along = make()  # without one they do not: each frame is warped from the one before
    for_coarse = ask(along, verb, observed, place(1, 2, 3))
    for_fine = ask(along, verb, observed, place(0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3))
    assert float((for_fine[:, [1, 5, 9]] - for_coarse).abs().max()) > 1e-3


@pytest.mark.parametrize("verb", VERBS)
def test_a_time_off_the_base_grid_is_decoded_from_the_base_frame_before_it(verb: str) -> None:
    observed, times = shown(), (after(1, 2, 2.5) if verb == "predict" else between(0, 1, 1.5))
    chain = ask(make(), verb, observed, times)
    assert_close(ask(make(decode_interval=INTERVAL), verb, observed, times[:, 2:]), chain[:, 2:], rtol=1e-5, atol=1e-6)


def test_on_its_training_times_the_base_grid_changes_nothing() -> None:
    observed = shown()
    for verb, times in (("predict", after(1, 2, 3)), ("interpolate", between(0, 1, 2, 3, 4))):
        without, with_grid = (ask(make(decode_interval=grid), verb, observed, times) for grid in (None, INTERVAL))
        assert_close(without, with_grid, rtol=1e-5, atol=1e-6)


def test_the_base_grid_refuses_times_before_its_first_frame() -> None:
    system = make(decode_interval=INTERVAL)
    with pytest.raises(ValueError, match=r"last observed frame.* before it"):
        system.decode(shown(), after(-2, 1), "last")


def test_frames_beyond_the_horizon_are_finite() -> None:
    assert bool(torch.isfinite(ask(make(decode_interval=INTERVAL), "predict", shown(), after(1, 20, 40))).all())


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_nothing_missing_equals_no_mask(mode: str) -> None:
    system, observed = make(mode), shown()
    times = after(1, 2) if mode == "extrapolate" else between(0.5, 1.5)
    verb = "predict" if mode == "extrapolate" else "interpolate"
    everything = torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(ask(system, verb, observed, times, present=everything), ask(system, verb, observed, times))


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_frame_changes_nothing_by_its_content(verb: str) -> None:
    system, observed = make(), shown()
    present = torch.tensor([[True, False, True, True, False], [True, True, False, False, True]])
    other = VideoClip(torch.where(present[..., None, None, None], observed.frames, 0.9), observed.times)
    times = after(1, 2) if verb == "predict" else between(0.5, 1.5)
    first, second = (ask(system, verb, clip, times, present=present) for clip in (observed, other))
    assert torch.equal(first, second)
    assert not torch.equal(ask(system, verb, observed, times), ask(system, verb, other, times))


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_a_missing_frame_changes_no_loss_by_its_content(mode: str) -> None:
    system, whole = make(mode, frames=10).train(), batch()
    present = torch.ones(2, 10, dtype=torch.bool)
    present[0, [1, 4, 7]] = False
    present[1, [4, 8]] = False
    valid = torch.ones(2, 10, 1, 16, 16, dtype=torch.bool)
    valid[:, :, :, 3:5, 3:5] = False
    losses = []
    for content in (0.0, 0.9):
        frames = torch.where(present[..., None, None, None] & valid, whole.clip.frames, content)
        holed = whole._replace(clip=VideoClip(frames, whole.clip.times), present=present, valid=valid)
        critic, generator = system.joint_losses(holed, system.generate_fakes(holed))
        losses.append(torch.stack([*critic.values(), *generator.values()]).detach())
    assert torch.equal(losses[0], losses[1])
    critic, generator = system.joint_losses(whole, system.generate_fakes(whole))
    assert float((torch.stack([*critic.values(), *generator.values()]) - losses[0]).abs().max()) > 1e-3


def test_the_first_difference_is_to_the_frame_that_the_chain_starts_from() -> None:
    """With the last observed frame missing that is the one before it."""
    system, whole = make(), batch()
    present = torch.ones(2, 10, dtype=torch.bool)
    present[:, 4] = False
    fakes = system.generate_fakes(whole._replace(present=present))
    assert fakes.differences is not None
    frames = (whole.clip.frames + 1) / 2
    truth = frames[:, 5:] - torch.cat([frames[:, 3:4], frames[:, 5:-1]], dim=1)
    exact = system._reconstruction(fakes._replace(differences=truth))
    assert_close(exact["difference"].item(), 0.0)


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_a_difference_counts_where_both_frames_are_known_and_passes_over_missing_ones(mode: str) -> None:
    """Against a loop over pixels: holes in the last (or first) shown frame, in targets, and frames that are missing."""
    system, whole = make(mode, frames=10), batch()
    assert isinstance(whole.clip, VideoClip)
    present = torch.ones(2, 10, dtype=torch.bool)
    present[0, [0, 4, 7]] = False
    present[1, [6, 7]] = False
    valid = torch.ones(2, 10, 1, 16, 16, dtype=torch.bool)
    for frame, place in ((0, 1), (1, 3), (3, 2), (4, 5), (6, 7), (8, 9)):
        valid[:, frame, :, place : place + 4, 3:9] = False
    known = present[..., None, None, None] & valid
    clip = VideoClip(torch.where(known, whole.clip.frames, torch.nan), whole.clip.times)
    fakes = system.generate_fakes(whole._replace(clip=clip, present=present, valid=valid))
    assert fakes.differences is not None
    true = (whole.clip.frames + 1) / 2
    targets = range(5, 10) if mode == "extrapolate" else range(10)
    exact, total, count = torch.full_like(fakes.differences, 77.0), 0.0, 0
    for row in range(2):
        there = [frame for frame in range(10) if present[row, frame]]
        before = there[0] if mode == "interpolate" else max(frame for frame in there if frame < 5)
        for index, frame in enumerate(targets):
            if not present[row, frame]:
                continue
            both = valid[row, frame, 0] & valid[row, before, 0]
            exact[row, index, 0][both] = (true[row, frame] - true[row, before])[0][both]
            total += float((fakes.differences[row, index, 0] - exact[row, index, 0])[both].detach().abs().sum())
            count += int(both.sum())
            before = frame
    assert_close(system._reconstruction(fakes._replace(differences=exact))["difference"].item(), 0.0)
    assert_close(system._reconstruction(fakes)["difference"].item(), total / count)


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_every_parameter_that_trains_gets_a_gradient(mode: str) -> None:
    system, clips = make(mode).train(), batch(frames=10 if mode == "extrapolate" else 5)
    critic, generator = system.joint_losses(clips, system.generate_fakes(clips))
    (sum(critic.values()) + sum(generator.values())).backward()
    without = set()
    for name, parameter in system.named_parameters():
        assert parameter.grad is not None, name
        if float(parameter.grad.abs().max()) < 1e-12:
            without.add(name)
    # a bias before a norm is subtracted again with the mean
    batch_norm = {f"generator.image_encoder.{i}.bias" for i in (0, 3, 6)}
    batch_norm |= {f"generator.image_decoder.{i}.bias" for i in (1, 5)}
    instance_norm = {f"critics.{critic}.{i}.bias" for critic in ("image", "sequence") for i in (2, 5, 8)}
    assert without == batch_norm | instance_norm
    head = system.generator.encoder.head
    assert isinstance(head, nn.Sequential)
    for parameter in head[2].parameters():  # the half for deviations, which nobody reads
        assert parameter.grad is not None
        mean, deviation = parameter.grad.chunk(2)
        assert bool(mean.reshape(len(mean), -1).any(dim=1).all())
        assert not bool(deviation.any())


@pytest.mark.parametrize(("composition", "outputs", "known"), [
    ("mask", 6, {"warped", "differences", "masks", "flows"}), ("flow", 2, {"warped", "flows"}), ("image", 3, set()),
])  # fmt: skip
def test_ablations_draw_with_fewer_parts(composition: str, outputs: int, known: set[str]) -> None:
    system = make(channels=3, network={"composition": composition})
    last = system.generator.image_decoder[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.out_channels == outputs
    clips = batch(channels=3)
    decoded = system.decode(clips.clip, clips.clip.times[:, -1:] + INTERVAL, "last")  # type: ignore[arg-type]
    assert decoded.parts.keys() == known
    losses = system.generator_losses(clips, system.generate_fakes(clips))
    assert ("difference" in losses) == (composition == "mask")


def test_vid_rnn_blends_between_frames_and_runs_at_any_time() -> None:
    cell = {"class_path": "lightning_modules.networks.conv_gru.ConvGRUCell", "init_args": {"channels": 16}}
    recurrent = {"class_path": "lightning_modules.dynamics.Recurrent", "init_args": {"cell": cell, "interval": 0.1}}
    blended = {"class_path": "lightning_modules.dynamics.Interpolated",
               "init_args": {"dynamics": recurrent, "interval": 0.1}}  # fmt: skip
    system = make(network={"dynamics": blended}, encoder={"field": None})
    observed = shown()
    latents = system.decode(observed, after(1, 1.5, 2), "last").latents
    assert_close(latents[:, 1], (latents[:, 0] + latents[:, 2]) / 2)
    strict = make(network={"dynamics": recurrent}, encoder={"field": None})
    assert bool(torch.isfinite(ask(strict, "predict", observed, after(1, 2))).all())
    with pytest.raises(ValueError, match=r"Recurrent .*grid"):
        ask(strict, "predict", observed, after(1, 1.5))


def test_frame_stack_takes_its_number_of_frames_only() -> None:
    stack = {"class_path": "lightning_modules.networks.vid_ode_parts.FrameStack",
             "init_args": {"channels": 16, "frames": 5}}  # fmt: skip
    system = make(network={"encoder": stack})
    assert ask(system, "predict", shown(), after(1)).shape == (2, 1, 1, 16, 16)
    with pytest.raises(ValueError, match="FrameStack was built for 5 observed frames and got 4"):
        ask(system, "predict", shown(frames=4), after(1))


def test_observe_must_leave_something_to_ask() -> None:
    with pytest.raises(ValueError, match="`observe` must be from 1 to 4"):
        make().generate_fakes(batch(frames=5))


@pytest.mark.parametrize(("mode", "critic", "sequence"), [
    ("extrapolate", 3_280_768, 3_296_128), ("interpolate", 3_280_768, 3_293_056),
])  # fmt: skip
def test_the_papers_network_has_the_released_size(mode: str, critic: int, sequence: int) -> None:
    with torch.device("meta"):
        system = build(config(mode, width=32, channels=3, critic={"width": 64}))
    assert isinstance(system, VidODE)
    network = system.generator
    assert isinstance(network, VidODENetwork)
    assert size(network.image_encoder) == 165_376
    assert size(network.encoder) == 1_156_160
    assert size(network.dynamics) == 221_504
    assert size(network.image_decoder) == 372_678
    assert size(network) == 1_915_718
    assert size(system.critics["image"]) == critic
    assert size(system.critics["sequence"]) == sequence


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_still_beginning_repeats_the_frame_before_and_is_asked_for() -> None:
    observed = shown()
    last = observed.frames[:, -1]
    torch.manual_seed(0)
    ordinary = (ask(make(), "predict", observed, after(1.0)).squeeze(1) - last).abs().mean()
    torch.manual_seed(0)
    still = (ask(make(network={"copy_last_init": 6.0}), "predict", observed, after(1.0)).squeeze(1) - last).abs().mean()
    assert still < 0.1 * ordinary
    with pytest.raises(ValueError, match="`copy_last_init` sets the mask"):
        make(network={"copy_last_init": 3.0, "composition": "flow"})
