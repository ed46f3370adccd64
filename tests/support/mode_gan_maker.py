"""Configurations of small MODE-GANs: the motion GAN, the motion-to-video GAN and the two joined."""

from typing import Any

SIZE = 16  # of an image, in pixels
MLP = "lightning_modules.dynamics.mlp.MLP"
HEATMAPS = {"class_path": "lightning_modules.networks.heatmaps.Heatmaps", "init_args": {"size": SIZE}}
ODE = {
    "class_path": "lightning_modules.dynamics.LatentODE",
    "init_args": {
        "max_step": 0.0625,
        "initial": {"class_path": MLP, "init_args": {"widths": [4, 6]}},
        "field": {"class_path": MLP, "init_args": {"widths": [6, 8, 6], "activation": "tanh"}},
    },
}
"""Motion in a state of 6 values, from a code of 4."""
RNN = {"class_path": "lightning_modules.dynamics.motion_rnn.MotionRNN", "init_args": {"size": 4}}
"""Motion at multiples of 1/16 alone, in a state of 4 values."""


def motion(joints: int = 3, dynamics: dict[str, Any] = ODE, width: int = 6, critic: bool = False) -> dict[str, Any]:
    """A MotionGAN whose dynamics have states of `width` values, with or without a critic of single frames."""
    readout = {"class_path": MLP, "init_args": {"widths": [width, 2 * joints]}}
    generator = {
        "class_path": "lightning_modules.networks.mode_gan.MotionGenerator",
        "init_args": {"code_size": 4, "dynamics": dynamics, "readout": readout},
    }
    arguments: dict[str, Any] = {"first_time": 0.0625, "generator": generator, "heatmaps": HEATMAPS}
    if critic:
        arguments["frame_critic"] = {
            "class_path": "lightning_modules.networks.mode_gan_critics.FrameCritic",
            "init_args": {"channels": joints, "width": 2, "size": SIZE},
        }
    return {"class_path": "lightning_modules.motion_gan.MotionGAN", "init_args": arguments}


def video(joints: int = 3, channels: int = 1) -> dict[str, Any]:
    """A MotionToVideoGAN without critics."""
    sizes = {"joints": joints, "channels": channels, "size": SIZE, "width": 2, "code_size": 4, "hidden": 4}
    generator = {"class_path": "lightning_modules.networks.mode_gan.MotionToVideoGenerator", "init_args": sizes}
    return {
        "class_path": "lightning_modules.motion_to_video_gan.MotionToVideoGAN",
        "init_args": {"generator": generator, "heatmaps": HEATMAPS},
    }


def joined() -> dict[str, Any]:
    """A ModeGAN of the two."""
    return {"class_path": "lightning_modules.mode_gan.ModeGAN", "init_args": {"motion": motion(), "video": video()}}
