"""Where Vid-ODE's paper and its released code part: both behave as stated, the default is the code.

In configs/model, vid_ode_released.yaml takes the code's side and vid_ode_paper.yaml the paper's. Numbers 8 and 9 are
misprints of the paper's Tables 6 and 7 (channels and halvings that do not add up) and have no argument.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from datamodules.clip import VideoClip
from lightning_modules.dynamics import ConvField, LatentODE
from lightning_modules.networks.vid_ode_frames import Decoded
from lightning_modules.networks.vid_ode_parts import ODEConvGRU, PatchCritic
from lightning_modules.networks.warping import warp
from lightning_modules.schedules import FlooredExponentialLR
from lightning_modules.vid_ode import VidODE, sliding_windows
from support.vid_ode_maker import batch, make

DOUBLE = torch.float64
TIMES = torch.tensor([[0.0, 0.1, 0.35, 0.4]], dtype=DOUBLE)


def encoder(**arguments: object) -> ODEConvGRU:
    torch.manual_seed(0)
    return ODEConvGRU(4, ConvField(4, 2), **arguments).double()  # type: ignore[arg-type]


def embeddings() -> Tensor:
    return torch.randn(1, 4, 4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)


def present() -> Tensor:
    return torch.ones(1, 4, dtype=torch.bool)


def decode(system: VidODE, clips: int = 2, frames: int = 5) -> tuple[Tensor, Decoded]:
    clip = batch(clips, frames).clip
    assert isinstance(clip, VideoClip)
    return (clip.frames[:, -1] + 1) / 2, system.decode(clip, clip.times[:, -1:] + 0.04 * torch.arange(1, 4), "last")


@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_1_the_encoder_takes_one_euler_step_or_solves(solver: str) -> None:
    ours = encoder(solver=solver, head=False)
    state, before = torch.zeros(1, 4, 3, 3, dtype=DOUBLE), 0.4 + 0.01
    fine = LatentODE(ours.field, solver="rk4", max_step=0.01)  # type: ignore[arg-type]
    for index in (3, 2, 1, 0):  # backwards: intervals are negative, and the first is -0.01
        interval = float(TIMES[0, index]) - before
        if solver == "euler":
            state = state + interval * ours.field(state)  # type: ignore[misc]
        else:
            state = fine(state, torch.tensor([[interval]], dtype=DOUBLE))[:, 0]
        state = ours.cell(embeddings()[:, index], state)
        before = float(TIMES[0, index])
    theirs = state
    tolerance = 1e-12 if solver == "euler" else 1e-6
    assert_close(ours(embeddings(), TIMES, present()), theirs, rtol=tolerance, atol=tolerance)


def test_1_on_irregular_times_the_encoder_takes_a_step_per_slot_of_the_window() -> None:
    """The code walks over all slots, 1/20 apart, and leaves the state alone where no frame was sampled."""
    ours = encoder(euler_step=0.05)
    slots, sampled = torch.arange(20, dtype=DOUBLE) / 20, [[0, 3, 7, 14, 19], [0, 1, 2, 18, 19]]
    times = slots[torch.tensor(sampled)]
    given = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    theirs = []
    for row, places in enumerate(sampled):
        state, before = torch.zeros(1, 4, 3, 3, dtype=DOUBLE), slots[-1] + 0.01
        for slot in reversed(range(20)):
            state = state + (slots[slot] - before) * ours.field(state)  # type: ignore[misc]
            if slot in places:
                state = ours.cell(given[row, places.index(slot)][None], state)
            before = slots[slot]
        theirs.append(ours.head(state)[:, :4])  # type: ignore[misc]
    code = ours(given, times, torch.ones(2, 5, dtype=torch.bool))
    assert_close(code, torch.cat(theirs))
    one_per_gap = encoder()(given, times, torch.ones(2, 5, dtype=torch.bool))
    assert float((one_per_gap - code).detach().abs().max()) > 1e-6  # of another method: in double precision far apart
    regular, every = slots[None, ::2][:, :4], torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(encoder(euler_step=0.1)(embeddings(), regular, every), encoder()(embeddings(), regular, every))
    for wrong in ({"euler_step": 0.0}, {"euler_step": 0.1, "solver": "rk4"}):
        with pytest.raises(ValueError, match="longest step of `solver: euler`"):
            encoder(**wrong)


def test_1_the_first_step_of_0_01_is_an_argument() -> None:
    assert encoder().first_step == 0.01
    without = encoder(first_step=0.0, head=False)(embeddings()[:, :1], TIMES[:, 1:2], present()[:, :1])
    assert_close(without, encoder().cell(embeddings()[:, 0], torch.zeros(1, 4, 3, 3, dtype=DOUBLE)))


def test_2_frames_are_read_backward_or_forward() -> None:
    """Without a field, reading forward what was turned round is reading backward."""
    torch.manual_seed(0)
    backward = ODEConvGRU(4, None, direction="backward", head=False).double()
    forward = ODEConvGRU(4, None, direction="forward", head=False).double()
    forward.load_state_dict(backward.state_dict())
    turned = embeddings().flip(1)
    assert_close(forward(turned, TIMES, present()), backward(embeddings(), TIMES, present()))
    assert encoder().direction == "backward"
    with_field = encoder(direction="forward", head=False)
    with_field(embeddings(), TIMES, present())


def test_2_the_code_is_the_mean_of_the_head_or_the_last_state() -> None:
    with_head, without = encoder(), encoder(head=False)
    without.load_state_dict({k: v for k, v in with_head.state_dict().items() if not k.startswith("head")})
    state = without(embeddings(), TIMES, present())
    assert with_head.head is not None
    assert_close(with_head(embeddings(), TIMES, present()), with_head.head(state)[:, :4])


@pytest.mark.parametrize("grid", [None, 0.04])
def test_3_the_code_sits_at_the_first_asked_time_or_at_the_last_observed(grid: float | None) -> None:
    at_query, at_last = (
        make(decode_interval=grid, network={"code_time": place}) for place in ("first_query", "last_observed")
    )
    codes: list[Tensor] = []
    at_last.generator.encoder.register_forward_hook(lambda _, __, code: codes.append(code))
    _, released = decode(at_query)
    _, paper = decode(at_last)
    dynamics = at_last.generator.dynamics
    steps = 0.1 * torch.arange(0, 4, dtype=DOUBLE).expand(2, -1)
    theirs = dynamics(codes[0], steps)
    assert_close(released.latents, theirs[:, :3])
    assert_close(paper.latents, theirs[:, 1:])


@pytest.mark.parametrize("grid", [None, 0.04])
def test_4_the_flow_pulls_on_the_warped_or_on_the_composed_frame(grid: float | None) -> None:
    for chain in ("warped", "composed"):
        last, decoded = decode(make(decode_interval=grid, network={"chain": chain}))
        warped, flows = decoded.parts["warped"], decoded.parts["flows"]
        frames = warped if chain == "warped" else decoded.frames
        sources = torch.cat([last[:, None], frames[:, :-1]], dim=1)
        for step in range(3):
            theirs = warp(sources[:, step], flows[:, step])
            assert_close(warped[:, step], theirs)
    assert make().generator.chain == "warped"


def test_5_windows_hold_only_predictions_or_one_after_real_frames() -> None:
    """Numbered frames: observed 0 to 4, future 5 to 9 real and 105 to 109 predicted."""
    number = torch.arange(10.0)[None, :, None, None, None]
    observed, real, fake = number[:, :5], number[:, 5:], number[:, 5:] + 100
    predicted = sliding_windows(observed, fake, fake)[..., 0, 0]
    assert predicted[0].tolist() == [0, 1, 2, 3, 4, 105]
    assert predicted[4].tolist() == [4, 105, 106, 107, 108, 109]
    forced = sliding_windows(observed, real, fake)[..., 0, 0]
    assert forced[0].tolist() == [0, 1, 2, 3, 4, 105]
    assert forced[4].tolist() == [4, 5, 6, 7, 8, 109]
    for windows, last in (("predicted", True), ("teacher_forced", False)):
        system, clips = make(windows=windows), batch()
        fakes = system.generate_fakes(clips)
        judged = {name: seen for name, _, _, seen in system._critic_inputs(fakes)}
        assert torch.equal(judged["sequence"][4][1], fakes.predicted[0, 0, 0]) == last
        assert torch.equal(judged["sequence"][4][5], fakes.predicted[0, 4, 0])
    assert make().windows == "predicted"


def test_6_the_critics_own_loss_is_scaled_in_the_code_alone() -> None:
    clips = batch()
    released, paper = make(), make(critic_weight=1.0)
    fakes = released.generate_fakes(clips)
    for name, loss in released.critic_losses(clips, fakes).items():
        assert_close(paper.critic_losses(clips, fakes)[name] * 0.5 * 0.003, loss)


def test_7_the_field_narrows_to_half_or_keeps_its_width() -> None:
    widths = [
        [layer.out_channels for layer in ConvField(128, hidden).layers if isinstance(layer, nn.Conv2d)]
        for hidden in (64, 128)
    ]
    assert widths == [[64, 64, 64, 128], [128, 128, 128, 128]]


def test_10_critics_have_instance_norm_in_layers_2_to_4_or_none() -> None:
    norms = [
        sum(isinstance(layer, nn.InstanceNorm2d) for layer in PatchCritic(3, 8, norm=norm)) for norm in (True, False)
    ]
    assert norms == [3, 0]
    for norm in (True, False):
        assert PatchCritic(3, 8, norm=norm)(torch.zeros(1, 3, 128, 128)).shape == (1, 8, 18, 18)
    assert any(isinstance(layer, nn.InstanceNorm2d) for layer in PatchCritic(3, 8))


def test_11_the_learning_rate_has_a_floor_or_none() -> None:
    for floor, last in ((0.1, 0.1), (0.0, 0.99**300)):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = FlooredExponentialLR(optimizer, floor=floor)
        optimizer.step()
        for _ in range(299):
            schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(last)


def test_12_the_first_latent_before_is_an_embedding_or_the_code() -> None:
    for previous in ("embedding", "code"):
        system = make(network={"previous_latent": previous})
        codes, decoder_saw = [], []
        system.generator.encoder.register_forward_hook(lambda _, __, code, codes=codes: codes.append(code))
        system.generator.image_decoder.register_forward_hook(lambda _, x, __, saw=decoder_saw: saw.append(x[0]))
        last, decoded = decode(system)
        theirs = system.generator.image_encoder(last) if previous == "embedding" else codes[0]
        saw = torch.cat([maps.unflatten(0, (len(last), -1)) for maps in decoder_saw], dim=1)  # one call or several
        assert_close(saw[:, 0], torch.cat([decoded.latents[:, 0], theirs], dim=1))
        assert_close(saw[:, 1], torch.cat([decoded.latents[:, 1], decoded.latents[:, 0]], dim=1))
    assert make().generator.previous_latent == "embedding"
