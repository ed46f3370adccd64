"""Laws of the models that Vid-ODE is compared to: what all keep, and what makes each the method it is named for."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from baselines.conv_gru import Cell
from baselines.conv_gru_decay import DecayCell
from baselines.conv_gru_dt import IntervalCell
from baselines.latent_ode import FrameLatentODE, LatentODENetwork, MeanDeviationGRU, normal_divergence
from baselines.ode2vae import ODE2VAE, ODE2VAENetwork
from benchmarks.evaluation.tasks import Interpolate, Interpolates, Predict, Predicts
from datamodules.clip import Batch, VideoClip
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.networks.ode2vae_parts import BayesianForce, normal_log_density
from lightning_modules.supervised import SupervisedSystem
from lightning_modules.training_example import ObservedFrames
from support.observing_systems import MODELS

CONTINUOUS = ["ode_conv", "ode_fc", "latent_ode", "ode2vae", "ode2vae_released"]
RECURRENT = ["conv_gru", "conv_gru_dt", "conv_gru_decay"]
ANY_TIME = [name for name in MODELS if name != "conv_gru"]


def system(name: str, seed: int = 0, **arguments: object) -> SupervisedSystem:
    torch.manual_seed(seed)
    made = MODELS[name](**arguments)
    for _ in range(3):  # so that batch norm knows what frames look like
        made.training_output(batch())
    return made.eval()


def batch(count: int = 3, frames: int = 10, present: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(7)
    times = (0.1 * torch.arange(frames)).expand(count, -1)
    there = torch.ones(count, frames, dtype=torch.bool) if present is None else present
    pictures = torch.rand(count, frames, 1, 16, 16, generator=generator) * 2 - 1
    ids = torch.arange(count)
    return Batch(VideoClip(pictures, times), ids, ids, torch.full((count,), -1), there)


@pytest.mark.parametrize("name", MODELS)
def test_verbs_are_what_the_method_can_do(name: str) -> None:
    made = MODELS[name]()
    assert isinstance(made, Predicts)
    assert isinstance(made, Interpolates) == (name in CONTINUOUS)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_answers_are_in_range_at_the_asked_times_and_repeat_with_their_seeds(name: str) -> None:
    made, task = system(name), Predict(context=5)
    query = task.make_query(batch(), VideoClip)
    answer = task.run(made, query)
    assert torch.equal(answer.times, query.target.times)
    assert answer.frames.shape == query.target.frames.shape
    assert float(answer.frames.abs().max()) <= 1
    assert_close(task.run(made, query).frames, answer.frames)
    alone = VideoClip(query.observed.frames[1:2], query.observed.times[1:2])
    one = made.predict(alone, query.target.times[1:2], seeds=query.seeds[1:2])
    assert_close(one.frames[0], answer.frames[1], atol=1e-5, rtol=0)  # a clip's answer is its own, whatever the batch


@pytest.mark.parametrize("name", CONTINUOUS)
@torch.no_grad()
def test_frames_at_shared_times_agree_whatever_else_is_asked(name: str) -> None:
    made = system(name, max_step=0.01)
    shown = VideoClip(*(part[:, :5] for part in batch().clip))  # type: ignore[misc]
    seeds = torch.arange(3)
    coarse = torch.tensor([[0.5, 0.7]]).expand(3, -1)
    fine = torch.tensor([[0.5, 0.55, 0.6, 0.7]]).expand(3, -1)
    expected = made.predict(shown, coarse, seeds=seeds).frames
    assert_close(made.predict(shown, fine, seeds=seeds).frames[:, [0, 3]], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "ode_conv" and name != "ode_fc"])
@torch.no_grad()
def test_a_missing_frame_is_as_if_it_had_never_been(name: str) -> None:
    made, whole = system(name), batch().clip
    assert isinstance(whole, VideoClip)
    present = torch.ones(3, 5, dtype=torch.bool)
    present[:, 2] = False
    holed = whole.frames[:, :5].clone()
    holed[:, 2] = 0.77
    keep = [0, 1, 3, 4]
    times = whole.times[:, 5:]
    seeds = torch.arange(3)
    ours = made.predict(VideoClip(holed, whole.times[:, :5]), times, seeds=seeds, present=present)
    theirs = made.predict(VideoClip(whole.frames[:, keep], whole.times[:, keep]), times, seeds=seeds)
    tolerance = 1e-2 if name == "latent_ode" else 1e-5  # Euler's steps between frames are laid otherwise
    assert_close(ours.frames, theirs.frames, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_every_weight_learns_from_finite_losses(name: str, mode: str) -> None:
    if mode == "interpolate" and name in RECURRENT:
        return
    torch.manual_seed(0)
    made = MODELS[name](training=mode, observe=5)
    posed = batch(frames=10 if mode == "extrapolate" else 5)
    losses = made.losses(posed, made.training_output(posed))
    assert all(bool(loss.isfinite()) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    idle = [key for key, value in made.generator.named_parameters() if value.grad is None]
    assert idle == []


@pytest.mark.parametrize("name", MODELS)
def test_a_missing_target_teaches_nothing(name: str) -> None:
    present = torch.ones(3, 10, dtype=torch.bool)
    present[:, 7] = False
    losses = []
    for filler in (0.1, -0.9):
        torch.manual_seed(0)
        made = MODELS[name](observe=5)
        posed = batch(present=present)
        assert isinstance(posed.clip, VideoClip)
        posed.clip.frames[:, 7] = filler
        losses.append(torch.stack(list(made.losses(posed, made.training_output(posed)).values())))
    assert_close(losses[0], losses[1])


@torch.no_grad()
def test_a_decay_of_zero_and_an_interval_without_weight_are_a_plain_gru() -> None:
    torch.manual_seed(0)
    plain, decay, told = Cell(4), DecayCell(4), IntervalCell(4)
    decay.cell.load_state_dict(plain.cell.state_dict())
    decay.rate.zero_()
    for ours, theirs in ((told.cell.gates, plain.cell.gates), (told.cell.candidate, plain.cell.candidate)):
        ours.weight[:, :4], ours.weight[:, 4], ours.weight[:, 5:] = theirs.weight[:, :4], 0, theirs.weight[:, 4:]
        ours.bias.copy_(theirs.bias)  # type: ignore[union-attr, arg-type]
    x, h, interval = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5), torch.tensor([0.3, 2.0])
    assert_close(decay(x, h, interval), plain(x, h, interval))
    assert_close(told(x, h, interval), plain(x, h, interval))
    decay.rate.fill_(1.5)
    assert_close(decay(x, h, interval), plain(x, h * torch.exp(-1.5 * interval)[:, None, None, None], interval))
    decay.rate.fill_(-1.5)  # a state never grows
    assert_close(decay(x, h, interval), plain(x, h, interval))


@torch.no_grad()
def test_conv_gru_draws_the_steps_between_and_refuses_times_off_its_grid() -> None:
    made, whole = system("conv_gru"), batch().clip
    shown = VideoClip(*(part[:, :5] for part in whole))  # type: ignore[misc]
    every = made.predict(shown, whole.times[:, 5:]).frames
    assert_close(made.predict(shown, whole.times[:, [6, 9]]).frames, every[:, [1, 4]])
    with pytest.raises(ValueError, match="grid"):
        made.predict(shown, torch.full((3, 1), 0.55))
    with pytest.raises(ValueError, match="after the last"):
        made.predict(shown, torch.full((3, 1), 0.4))


@pytest.mark.parametrize("name", ["ode_conv", "ode_fc"])
def test_a_stack_of_another_length_is_refused(name: str) -> None:
    made = system(name)
    shown = VideoClip(*(part[:, :4] for part in batch().clip))  # type: ignore[misc]
    with pytest.raises(ValueError, match="Set `observe`"):
        made.predict(shown, torch.full((3, 1), 0.5))


def test_kl_is_torchs_and_zero_for_equal_gaussians() -> None:
    mean, deviation = torch.randn(3, 5), torch.rand(3, 5) + 0.1
    theirs = kl_divergence(Normal(mean, deviation), Normal(torch.zeros(3, 5), torch.ones(3, 5)))
    assert_close(normal_divergence(mean, deviation), theirs)
    assert float(normal_divergence(torch.zeros(2, 4), torch.ones(2, 4)).abs().max()) == 0
    value = torch.randn(3, 5)
    assert_close(normal_log_density(value, mean, deviation), Independent(Normal(mean, deviation), 1).log_prob(value))
    force = BayesianForce(2, 3, 1, deviation=1.0)
    nn.init.zeros_(force.mean)
    assert_close(force.divergence(), torch.tensor(0.0))


@torch.no_grad()
def test_the_mean_deviation_gru_matches_a_loop_over_its_equations() -> None:
    torch.manual_seed(0)
    cell = MeanDeviationGRU(inputs=3, state=2, hidden=4)
    x, mean, deviation = torch.randn(1, 3), torch.randn(1, 2), torch.rand(1, 2)

    def network(part: nn.Module, *inputs: Tensor) -> Tensor:
        first, _, last = part.layers  # type: ignore[misc, union-attr]
        return last.bias + last.weight @ torch.tanh(first.bias + first.weight @ torch.cat(inputs))

    m, d, v = mean[0], deviation[0], x[0]
    update, reset = (torch.sigmoid(network(part, m, d, v)) for part in (cell.update, cell.reset))
    new = network(cell.candidate, m * reset, d * reset, v)
    theirs = (1 - update) * new[:2] + update * m, ((1 - update) * new[2:].abs() + update * d).abs()
    ours = cell(x, mean, deviation)
    assert_close(ours[0][0], theirs[0])
    assert_close(ours[1][0], theirs[1])


@torch.no_grad()
def test_latent_ode_encodes_backward_by_euler_and_gates_as_its_public_code_does() -> None:
    """An explicit step from each frame to the one before it, the frame's gates, two halves of the head for z0."""
    torch.manual_seed(0)
    made = FrameLatentODE(channels=1, size=16, width=2, latent=6, state=5, hidden=7, encoder_step=10.0).eval()
    network = made.network
    clip = batch(frames=4).clip
    assert isinstance(clip, VideoClip)
    mean, deviation, before = torch.zeros(3, 5), torch.zeros(3, 5), 0.3
    for index in (3, 2, 1, 0):
        mean = mean + network.flow.field(mean) * (0.1 * index - before)
        vector = network.flatten(network.image_encoder(clip.frames[:, index]).flatten(1))
        mean, deviation = network.cell(vector, mean, deviation)
        before = 0.1 * index
    theirs = network.head(torch.cat([mean, deviation], dim=1))
    ours = network.encode(ObservedFrames(clip.frames, clip.times, torch.ones(3, 4, dtype=torch.bool), "first"))
    assert_close(ours.mean, theirs[:, :6])
    assert_close(ours.deviation, theirs[:, 6:].abs())
    assert_close(ours.time, torch.zeros(3))


def test_latent_odes_weight_of_kl_waits_ten_epochs() -> None:
    made = FrameLatentODE(channels=1, size=16, width=2, latent=6, state=5, hidden=7)
    weights = []
    for epoch in (0, 9, 10, 11, 60):
        made._trainer = type("Clock", (), {"current_epoch": epoch})()  # type: ignore[assignment]
        weights.append(made.kl_weight)
    assert weights == pytest.approx([0, 0, 0, 0.01, 1 - 0.99**50])


def test_latent_odes_bound_is_a_log_mean_over_draws() -> None:
    torch.manual_seed(0)
    made = FrameLatentODE(channels=1, size=16, width=2, latent=6, state=5, hidden=7, warm_up=0, samples=2, noise=0.5)
    output = made.training_output(batch())
    made._trainer = type("Clock", (), {"current_epoch": 100})()  # type: ignore[assignment]
    terms = []
    for frames in output.frames:
        fit = Normal(frames, 0.5).log_prob(output.example.target).mean()
        prior = Normal(torch.zeros(3, 6), torch.ones(3, 6))
        terms.append(
            fit - made.kl_weight * kl_divergence(Normal(output.guess.mean, output.guess.deviation), prior).mean()
        )
    theirs = -torch.stack(terms).exp().mean().log()
    assert_close(made.losses(batch(), output)["bound"], theirs)


def test_second_order_is_position_and_velocity() -> None:
    """The path is that of the suite's own second-order ODE; without force it is a straight line."""
    torch.manual_seed(0)
    made = MODELS["ode2vae"]()
    network = made.generator
    assert isinstance(network, ODE2VAENetwork)
    start, times = torch.randn(3, 8), torch.tensor([[0.0, 0.2, 0.5]] * 3)
    weights = network.force.sample(torch.randn(1, network.force.count))

    class Field(nn.Module):
        def forward(self, jet: Tensor) -> Tensor:
            return network.force(jet, weights)[0]

    states, _ = network.flow(start, weights, times)
    theirs = LatentODE(Field(), max_step=network.max_step, order=2)(start, times)
    assert_close(states[..., :4], theirs)
    states, growth = network.flow(start, torch.zeros_like(weights), times)
    position, velocity = start.chunk(2, dim=1)
    assert_close(states[..., :4], position[:, None] + times[..., None] * velocity[:, None])
    assert_close(states[..., 4:], velocity[:, None].expand(-1, 3, -1))
    assert_close(growth, torch.zeros(3, 3))


@pytest.mark.parametrize("released", [False, True])
def test_the_bound_of_ode2vae_is_the_papers_or_its_codes(released: bool) -> None:
    """Against torch's distributions, and for the weights the public code's own formula."""
    torch.manual_seed(0)
    made = MODELS["ode2vae_released" if released else "ode2vae"](gamma=0.7, curriculum=False)
    assert isinstance(made, ODE2VAE)
    made.network.force.log_variance.data.fill_(-1.3)
    output = made.training_output(batch())
    ours = made.losses(batch(), output)
    target, states, guess = output.example.target, output.states, output.guess
    picture = output.generated.sigmoid()
    fit = (target * picture.log() + (1 - target) * (1 - picture).log()).sum() / 3
    assert_close(ours["likelihood"], -fit, rtol=1e-4, atol=0)
    prior = Independent(Normal(torch.zeros(8), torch.ones(8)), 1).log_prob(states).sum() / 3
    assert_close(ours["path"], output.density.sum() / 3 - prior, rtol=1e-4, atol=1e-3)
    windows = 7 if released else 8  # the code leaves the last window out
    assert guess.mean.shape == (3, windows, 8)
    encoded = Independent(Normal(guess.mean, guess.deviation), 1).log_prob(states[:, :windows]).sum() / 3
    density = output.density if released else output.density[:, :windows]
    assert_close(ours["instant"], 0.7 * (density.sum() / 3 - encoded), rtol=1e-4, atol=1e-3)
    q, hidden, layers = 4, 6, 2
    beta = q / (hidden * (3 * q + layers * hidden + layers + 1) + q)
    log_variance, means = made.network.force.log_variance, made.network.force.mean
    weights = 0.5 * (means.square() + log_variance.exp() - 1 - log_variance).sum()
    assert_close(ours["weights"], beta * weights)


def test_the_released_ode2vae_has_the_public_codes_layers() -> None:
    made = ODE2VAE(layers=1, released=True)
    convolutions = [
        (type(layer).__name__, layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for part in (made.network.velocity, made.network.decoder)
        for layer in part
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert convolutions == [
        ("Conv2d", 3, 16, 5, 2), ("Conv2d", 16, 32, 5, 2), ("Conv2d", 32, 64, 5, 2), ("Conv2d", 64, 128, 5, 2),
        ("ConvTranspose2d", 8, 128, 5, 2), ("ConvTranspose2d", 128, 64, 5, 2), ("ConvTranspose2d", 64, 32, 5, 2),
        ("ConvTranspose2d", 32, 1, 5, 1),
    ]  # fmt: skip
    assert made.network.force.shapes == [(100, 50), (100, 100), (25, 100)]
    made.eval()
    with torch.no_grad():
        assert made.network.draw(torch.randn(2, 3, 25)).shape == (2, 3, 1, 32, 32)
        made.network.position[-1].bias.fill_(-3.0)  # type: ignore[operator]
        made.network.position[-1].weight.zero_()  # type: ignore[operator]
        assert_close(
            made.network.guess(torch.rand(1, 1, 3, 1, 32, 32)).deviation[0, 0, :25], torch.full((25,), 0.22313)
        )


def test_the_forces_trace_is_autograds() -> None:
    torch.manual_seed(0)
    force = BayesianForce(latent=3, hidden=7, layers=2, deviation=0.3)
    state, weights = torch.randn(4, 6), force.sample(torch.randn(4, force.count))
    value, ours = force(state, weights)
    for row in range(4):

        def one(z: Tensor, row: int = row) -> Tensor:
            return force(z[None], weights[row : row + 1])[0][0]

        jacobian = torch.autograd.functional.jacobian(one, state[row])
        assert isinstance(jacobian, Tensor)
        assert_close(ours[row], jacobian[:, 3:].trace())
        assert_close(one(state[row]), value[row])
    assert force.count == 7 * (3 * 3 + 2 * 7 + 2 + 1) + 3  # the public code's count of weights


def test_log_density_along_the_flow_is_the_change_of_volume() -> None:
    """d log q = -tr: against the determinant of the map from start to end, by autograd."""
    torch.manual_seed(0)
    network = MODELS["ode2vae"]().generator
    assert isinstance(network, ODE2VAENetwork)
    weights = network.force.sample(torch.randn(1, network.force.count)).detach()
    times = torch.tensor([[0.3]])
    start = torch.randn(8)
    jacobian = torch.autograd.functional.jacobian(lambda z: network.flow(z[None], weights, times)[0][0, 0], start)
    assert isinstance(jacobian, Tensor)
    growth = network.flow(start[None], weights, times)[1][0, 0]
    assert_close(growth, -jacobian.slogdet()[1], atol=1e-3, rtol=1e-2)


def test_the_curriculum_grows_with_the_epochs() -> None:
    made = ODE2VAE(size=16, latent=4, hidden=6, encoder_width=2, decoder_width=2, downs=2)
    lengths = []
    for epoch in (0, 6, 8, 40):
        made._trainer = type("Clock", (), {"current_epoch": epoch})()  # type: ignore[assignment]
        lengths.append(made.training_output(batch()).generated.shape[1])
    assert lengths == [4, 5, 6, 10]


def test_the_curriculum_ends_where_it_is_told_to() -> None:
    made = ODE2VAE(
        size=16, latent=4, hidden=6, encoder_width=2, decoder_width=2, downs=2, amortised=1, curriculum_updates=40
    )
    lengths = []
    for made.generator_updates in (0, 5, 20, 39, 40, 10_000):
        lengths.append(made.training_output(batch()).generated.shape[1])
    assert lengths == [2, 3, 6, 9, 10, 10]
    for wrong in ({"curriculum_updates": 0}, {"curriculum": False, "curriculum_updates": 10}):
        with pytest.raises(ValueError, match="how long the curriculum lasts"):
            ODE2VAE(**wrong)  # type: ignore[arg-type]


@torch.no_grad()
def test_latent_ode_reads_only_what_is_shown_and_turns_deviation_into_chance() -> None:
    made = system("latent_ode")
    assert isinstance(made.generator, LatentODENetwork)
    shown = VideoClip(*(part[:, :5] for part in batch().clip))  # type: ignore[misc]
    times = torch.full((3, 1), 0.5)
    certain = made.predict(shown, times).frames
    output = made.predict(shown, times, seeds=torch.arange(3)).frames
    assert not torch.equal(certain, output)
    with pytest.raises(ValueError, match="observe"):
        made.training_output(batch(frames=5))


@pytest.mark.parametrize("name", CONTINUOUS)
@torch.no_grad()
def test_interpolation_asks_between(name: str) -> None:
    made, task = system(name), Interpolate(stride=2, frames=9)
    answer = task.run(made, task.make_query(batch(), VideoClip))
    assert answer.frames.shape[1] == 4
