"""Roughness and the pendulum's residual: exact on what is known, near nothing on pendulums, large on noise."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch.testing import assert_close

from benchmarks.metrics.pendulum import PendulumResidual, Roughness, fit_pendulum
from datamodules.clip import Trajectory
from datamodules.pendulum import pendulums, simulate

TIMES = np.arange(32) * 0.1
THINGS = pendulums(range(200))
REAL = Trajectory(
    torch.from_numpy(simulate(THINGS, TIMES)).float(), torch.from_numpy(TIMES).float().expand(200, -1).contiguous()
)
IDS = torch.arange(200) * 1024


def test_roughness_is_the_curvature_of_a_parabola() -> None:
    times = torch.arange(5.0)[None] / 10
    values = torch.stack([3 * times.square(), 7 * times + 1], dim=-1)
    metric = Roughness()
    metric.update(Trajectory(values, times), Trajectory(values, times), IDS[:1])
    assert_close(float(metric.compute()), (0.06**2 + 0) / 2, atol=1e-9, rtol=1e-4)


def test_pendulums_are_found_again() -> None:
    found, fraction = fit_pendulum(*REAL)
    damping, stiffness = found.T
    assert float(fraction.mean()) < 1e-4
    moved = torch.from_numpy(abs(THINGS.angle)) > 0.2
    assert_close(stiffness[moved], torch.from_numpy(THINGS.stiffness)[moved], rtol=0.02, atol=0.02)
    assert float((damping - torch.from_numpy(THINGS.damping))[moved].abs().median()) < 0.01


def test_the_fit_is_scipys() -> None:
    """Of the same linear equations, built again for one motion that is no pendulum."""
    torch.manual_seed(0)
    for values in (torch.randn(12, 2).double(), -REAL.values[3, :12].double().flip(0)):
        times = torch.linspace(0, 1.1, 12).double()
        ours, fraction = fit_pendulum(values[None], times[None])
        (a, v), h = values.numpy().T, 1.1 / 11

        def rule(f: np.ndarray, g: np.ndarray, h: float = h) -> np.ndarray:
            return h / 2 * (f[:-1] + f[1:]) + h**2 / 12 * (g[:-1] - g[1:])

        none = 0 * a
        scale = np.sqrt(2 * np.array([(np.diff(a) ** 2 + rule(v, none) ** 2).sum(), (np.diff(v) ** 2).sum()]))
        rows = [
            np.stack([rule(none, -v), rule(none, -np.sin(a))], 1) / scale[0],
            np.stack([-np.diff(a), rule(-np.sin(a), -np.cos(a) * v)], 1) / scale[1],
        ]
        right = [(np.diff(a) - rule(v, none)) / scale[0], np.diff(v) / scale[1]]
        theirs, norm = nnls(np.concatenate(rows), np.concatenate(right))
        assert_close(ours[0].numpy(), theirs, atol=1e-6, rtol=1e-5)
        assert float(fraction) == pytest.approx(norm**2, rel=1e-5)


def test_noise_and_shuffled_time_are_no_pendulums_and_are_rougher() -> None:
    torch.manual_seed(0)
    found = {}
    for name, values in {
        "real": REAL.values,
        "noisy": REAL.values + 0.2 * torch.randn_like(REAL.values),
        "shuffled": REAL.values[:, torch.randperm(32)],
    }.items():
        prediction = Trajectory(values, REAL.times)
        residual, roughness = PendulumResidual(), Roughness()
        for metric in (residual, roughness):
            metric.update(prediction, REAL, IDS)
        found[name] = residual.measurement().value, roughness.measurement().value
        assert residual.measurement().n == 200
    assert found["real"][0] < 1e-4 < 0.05 < found["noisy"][0] < found["shuffled"][0] <= 1.5
    assert found["real"][1] < found["noisy"][1] < found["shuffled"][1]


def test_a_motion_that_stands_still_is_a_pendulum() -> None:
    still = Trajectory(torch.tensor([0.5, 0.0]).expand(1, 6, 2), torch.arange(6.0)[None])
    metric = PendulumResidual()
    metric.update(still, still, IDS[:1])
    assert float(metric.compute()) == 0


def test_the_datas_own_value_stands_under_its_own_name() -> None:
    metric = Roughness(of="target")
    metric.update(Trajectory(torch.zeros(200, 32, 2), REAL.times), REAL, IDS)
    assert metric.name == "data_roughness"
    assert metric.per_clip().values == pytest.approx(Roughness().measure(REAL).numpy())


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="angle and angular velocity"):
        PendulumResidual().measure(Trajectory(torch.zeros(2, 5, 3), torch.arange(5.0).expand(2, -1)))


def test_an_angle_that_contradicts_its_velocity_is_worse_than_noise() -> None:
    times = torch.linspace(0, 1, 9)[None]
    backwards = torch.stack([-times, torch.ones_like(times)], dim=-1)
    assert float(PendulumResidual().measure(Trajectory(backwards, times))) == pytest.approx(1.0)  # (2 + 0) / 2
    forwards = torch.stack([times, torch.ones_like(times)], dim=-1)
    assert float(PendulumResidual().measure(Trajectory(forwards, times))) < 1e-9
