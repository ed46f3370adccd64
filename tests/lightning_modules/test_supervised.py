"""What the models that Vid-ODE is compared to share: where an answer starts, and frames side by side."""

import inspect
from typing import Literal

import pytest
import torch
from torch.testing import assert_close

from lightning_modules.supervised import InterpolatingSystem, SupervisedSystem
from lightning_modules.training_example import ObservedFrames


def shown(start: Literal["first", "last"] = "first") -> ObservedFrames:
    times = torch.tensor([[0.0, 0.1, 0.2, 0.3], [0.0, 0.4, 0.5, 0.9]])
    present = torch.tensor([[True, True, True, True], [False, True, True, False]])
    return ObservedFrames(torch.rand(2, 4, 3, 2, 2) + 0.1, times, present, start)


def test_an_answer_starts_from_the_first_or_last_frame_that_is_there() -> None:
    assert_close(shown("first").anchor, torch.tensor([0.0, 0.4]))
    assert_close(shown("last").anchor, torch.tensor([0.3, 0.5]))
    assert_close(shown("first").time_of("last"), shown("last").anchor)


def test_frames_side_by_side_keep_their_order_and_a_missing_one_is_black() -> None:
    frames = shown()
    stack = frames.side_by_side(4, "A model")
    assert stack.shape == (2, 12, 2, 2)
    for index in range(4):
        part = stack[:, 3 * index : 3 * index + 3]
        assert_close(part[0], frames.frames[0, index])
        assert_close(part[1], frames.frames[1, index] if index in (1, 2) else torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="A model was built for 5 frames side by side and got 4"):
        frames.side_by_side(5, "A model")


def test_interpolating_is_a_contract_that_adds_one_capability() -> None:
    assert inspect.isabstract(InterpolatingSystem)
    added = {name for name, _ in inspect.getmembers(InterpolatingSystem, inspect.isfunction)}
    assert added - {name for name, _ in inspect.getmembers(SupervisedSystem, inspect.isfunction)} == {"interpolate"}
