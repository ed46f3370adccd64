"""The models that Vid-ODE is compared to have the weights that their layers, written down by hand, add up to."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.config.resolve import full_class_paths, read_config
from lightning_modules.checkpoints.build import build
from lightning_modules.manual_optimization import ManualOptimizationSystem

MODELS = Path(__file__).parents[1] / "configs" / "model"


def conv(before: int, after: int, side: int = 3) -> int:
    return side * side * before * after + after


def norm(channels: int) -> int:
    return 2 * channels


def linear(*widths: int) -> int:
    return sum((before + 1) * after for before, after in pairwise(widths))


# Vid-ODE's parts (supplement, Tables 6 and 7, at the widths of the released code: 32, 64, 128 channels) at 128 x 128.
MAP = 128 * 32 * 32
ENCODER = conv(3, 32) + norm(32) + conv(32, 64, 4) + norm(64) + conv(64, 128, 4) + norm(128)
STACK_ENCODER = ENCODER + conv(15, 32) - conv(3, 32)  # five frames side by side
FIELD = conv(128, 64) + 2 * conv(64, 64) + conv(64, 128)
GRU = conv(256, 256) + conv(256, 128)  # both gates, and the candidate
HEAD = conv(128, 128, 1) + conv(128, 256, 1)
VID_ODE_DECODER = conv(256, 128) + norm(128) + conv(128, 64) + norm(64) + conv(64, 6)  # of two states; flow, D, mask
DECODER = conv(128, 64) + norm(64) + conv(64, 32) + norm(32) + conv(32, 3)  # of one state; the picture

# Latent ODE's public code: GRU_unit's three networks see mean, deviation and input; a field; transform_z0.
GATE = linear(3 * 128, 100, 128)
CANDIDATE = linear(3 * 128, 100, 2 * 128)
VECTOR_FIELD = linear(128, 100, 100, 128)
Z0 = linear(2 * 128, 100, 2 * 128)


def force(q: int, hidden: int = 100, layers: int = 2) -> int:
    """ODE2VAE's count of a force's weights (in beta), and the one variance."""
    return hidden * (3 * q + layers * hidden + layers + 1) + q + 1


def strided(channels: int, widths: list[int], outputs: int, cells: int = 16) -> int:
    """ODE2VAE's encoder: 5 x 5 convolutions that halve the image to few cells, batch norm, linear layers."""
    downs = sum(conv(before, after, 5) + norm(after) for before, after in pairwise([channels, *widths]))
    return downs + linear(cells * widths[-1], outputs)


def released_decoder(q: int, widths: list[int]) -> int:
    """The public code's: 8 channels of 4 x 4, 5 x 5 transposed convolutions, without norm before or after them."""
    ups = sum(conv(before, after, 5) + norm(after) for before, after in pairwise([8, *widths]))
    return linear(q, 8 * 16) + ups + conv(widths[-1], 1, 5)


def transposed(q: int, widths: list[int], channels: int) -> int:
    """ODE2VAE's decoder: a linear layer to 4 x 4, 4 x 4 transposed convolutions, one 5 x 5 convolution."""
    ups = sum(conv(before, after, 4) + norm(after) for before, after in pairwise(widths))
    return linear(q, 16 * widths[0]) + norm(widths[0]) + ups + conv(widths[-1], channels, 5)


PARTS: dict[str, tuple[int, dict[str, int]]] = {
    "vid_rnn": (2_357_830, {
        "image_encoder": ENCODER, "encoder": GRU + HEAD, "dynamics": GRU, "image_decoder": VID_ODE_DECODER,
    }),
    "vid_ode": (1_915_718, {
        "image_encoder": ENCODER, "encoder": GRU + HEAD + FIELD, "dynamics": FIELD, "image_decoder": VID_ODE_DECODER,
    }),
    "ode_conv": (483_651, {"image_encoder": STACK_ENCODER, "dynamics": FIELD, "image_decoder": DECODER}),
    "ode_fc": (34_079_491, {
        "image_encoder": STACK_ENCODER, "flatten": linear(MAP, 128), "dynamics": linear(128, 256, 256, 128),
        "unflatten": linear(128, MAP), "image_decoder": DECODER,
    }),
    "conv_gru": (2_028_931, {"image_encoder": ENCODER, "reader": GRU, "writer": GRU, "image_decoder": DECODER}),
    "conv_gru_dt": (2_035_843, {
        "image_encoder": ENCODER, "image_decoder": DECODER,
        "reader": conv(257, 256) + conv(257, 128), "writer": conv(257, 256) + conv(257, 128),
    }),
    "conv_gru_decay": (2_029_187, {
        "image_encoder": ENCODER, "reader": GRU + 128, "writer": GRU + 128, "image_decoder": DECODER,
    }),
    "latent_ode": (34_234_947, {
        "image_encoder": ENCODER, "flatten": linear(MAP, 128), "cell": 2 * GATE + CANDIDATE, "flow": VECTOR_FIELD,
        "head": Z0, "dynamics": VECTOR_FIELD, "unflatten": linear(128, MAP), "image_decoder": DECODER,
    }),
    "ode2vae": (896_067, {
        "position": strided(1, [16, 32, 64, 128], 50, 4), "velocity": strided(3, [16, 32, 64, 128], 50, 4),
        "force": linear(50, 100, 100, 25) + 1, "decoder": released_decoder(25, [128, 64, 32]),
    }),
    "ode2vae_128": (3_950_322, {
        "position": strided(3, [16, 32, 64, 128, 256], 100), "velocity": strided(9, [16, 32, 64, 128, 256], 100),
        "force": force(50), "decoder": transposed(50, [256, 128, 64, 32, 16, 16], 3),
    }),
}  # fmt: skip
"""All the weights of the generator, and those of each of its parts."""


@pytest.mark.parametrize("name", PARTS)
def test_a_models_parts_have_the_weights_of_their_layers(name: str) -> None:
    with torch.device("meta"):
        system = build(full_class_paths(read_config(MODELS / f"{name}.yaml")))
    assert isinstance(system, ManualOptimizationSystem)
    total, parts = PARTS[name]
    assert {part: size(module) for part, module in system.generator.named_children()} == parts
    assert size(system.generator) == sum(parts.values()) == total


def test_the_sources_numbers_are_these() -> None:
    """Counted in the released Vid-ODE and in ODE2VAE's public code."""
    assert (ENCODER, GRU + HEAD + FIELD, FIELD, VID_ODE_DECODER) == (165_376, 1_156_160, 221_504, 372_678)
    assert force(25) == 27_825 + 1
    assert force(25, layers=1) == linear(50, 100, 100, 25) + 1  # beta counts a layer more than the public code has


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
