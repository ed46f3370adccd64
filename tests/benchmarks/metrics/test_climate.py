from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.metrics.climate import FieldError, MinMaxError
from datamodules.clip import VideoClip

IDS = torch.arange(3)


def clips() -> tuple[VideoClip, VideoClip]:
    random = torch.Generator().manual_seed(0)
    prediction, target = (torch.rand(3, 4, 2, 5, 6, generator=random) * 2 - 1 for _ in range(2))
    target[:, :, :, 0] = 0  # gaps
    prediction[:, :, :, 0] = 0  # as the evaluation fills them
    times = torch.arange(4.0).expand(3, 4)
    return VideoClip(prediction, times), VideoClip(target, times)


def test_errors_in_the_unit_of_the_variable_leave_gaps_out() -> None:
    prediction, target = clips()
    metric: Any = FieldError("U850", 1, low=-30.0, high=50.0, unit="m/s")
    metric.update(prediction, target, IDS)
    ours = float(metric.compute())
    physical = [(clip.frames.numpy()[:, :, 1, 1:].astype(np.float64) + 1) * 40 - 30 for clip in (prediction, target)]
    theirs = np.sqrt(((physical[0] - physical[1]) ** 2).mean(axis=(2, 3))).mean()
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert metric.name == "rmse_U850"
    assert metric.protocol == {"low": -30.0, "high": 50.0, "unit": "m/s"}


def test_the_papers_unit_is_a_thousandth_of_the_squared_range() -> None:
    prediction, target = clips()
    metric: Any = MinMaxError()
    metric.update(prediction, target, IDS)
    theirs = (((prediction.frames - target.frames) / 2) ** 2).double().mean() * 1000
    assert float(metric.compute()) == pytest.approx(float(theirs), rel=1e-6)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        FieldError("PSL", 2, low=1.0, high=1.0, unit="Pa")
    prediction, target = clips()
    with pytest.raises(ValueError, match="PSL is channel 2, but the data have 2"):
        FieldError("PSL", 2, low=0.0, high=1.0, unit="Pa").update(prediction, target, IDS)
