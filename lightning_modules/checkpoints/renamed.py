"""Old names of classes and their arguments, so that configurations in older checkpoints can still be built.

Deleted at 1.0. Each table maps an old name to today's and may be filled by a script; only the last step of a name's
history is kept, so an entry whose new name changes again is rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODULES: dict[str, str] = {
    "lightning_modules.acceleration": "lightning_modules.callbacks.compile",
    "lightning_modules.averaging": "lightning_modules.callbacks.weight_averaging",
    "lightning_modules.batch_statistics": "lightning_modules.callbacks.batch_statistics",
    "lightning_modules.build": "lightning_modules.checkpoints.build",
    "lightning_modules.callbacks": "lightning_modules.callbacks.budget",
    "lightning_modules.checkpoints": "lightning_modules.callbacks.checkpoint",
    "lightning_modules.health": "lightning_modules.callbacks.nan_guard",
    "lightning_modules.hub": "lightning_modules.checkpoints.hub",
    "lightning_modules.networks.recomputing": "lightning_modules.networks.gradient_checkpointing",
    "lightning_modules.paired": "lightning_modules.supervised",
    "lightning_modules.random_state": "lightning_modules.callbacks.rng_state",
    "lightning_modules.vid_ode_released": "lightning_modules.checkpoints.vid_ode_released",
}
"""Module -> module: for every class that moved with its module and kept its name."""

CLASSES: dict[str, str] = {
    "lightning_modules.averaging.WeightAveraging": "lightning_modules.callbacks.weight_averaging.EMAWeights",
    "lightning_modules.callbacks.UpdateAxis": "lightning_modules.callbacks.budget.GeneratorStepLogger",
    "lightning_modules.dynamics.matched.matched_ode": "lightning_modules.dynamics.matched.parameter_matched_ode",
    "lightning_modules.dynamics.matched.matched_sde": "lightning_modules.dynamics.matched.parameter_matched_sde",
    "lightning_modules.dynamics.matched_ode": "lightning_modules.dynamics.parameter_matched_ode",
    "lightning_modules.dynamics.matched_sde": "lightning_modules.dynamics.parameter_matched_sde",
    "lightning_modules.health.Health": "lightning_modules.callbacks.nan_guard.NaNGuard",
    "lightning_modules.inbetweening.Fakes": "lightning_modules.inbetweening.InbetweeningFakes",
    "lightning_modules.latent_dynamics.Fakes": "lightning_modules.latent_dynamics.LatentDynamicsFakes",
    "lightning_modules.networks.inbetweening.VideoGenerator": "lightning_modules.networks.inbetweening.VideoDecoder",
    "lightning_modules.networks.mode_gan.VideoGenerator": "lightning_modules.networks.mode_gan.MotionToVideoGenerator",
    "lightning_modules.paired.InterpolatingPaired": "lightning_modules.supervised.InterpolatingSystem",
    "lightning_modules.paired.PairedSystem": "lightning_modules.supervised.SupervisedSystem",
    "lightning_modules.paired.Question": "lightning_modules.training_example.TrainingExample",
    "lightning_modules.paired.Shown": "lightning_modules.training_example.ObservedFrames",
    "lightning_modules.paired.lowered": "lightning_modules.supervised.lowered",
    "lightning_modules.system.Training": "lightning_modules.training_cost.TrainingCost",
    "lightning_modules.vid_ode.Fakes": "lightning_modules.vid_ode.VidODEFakes",
}
"""Old class path -> new class path, for every class that has another name, or another module than MODULES says."""

ARGUMENTS: dict[tuple[str, str], str] = {
    ("lightning_modules.dynamics.LatentODE", "sees"): "field_input",
    ("lightning_modules.dynamics.ode.LatentODE", "sees"): "field_input",
    ("lightning_modules.motion_gan.MotionGAN", "fade"): "weight_by_confidence",
    ("lightning_modules.networks.vid_ode.VidODENetwork", "still"): "copy_last_init",
}
"""(New class path, old argument) -> new argument. The class path "*" stands for every class."""

VALUES: dict[tuple[str, str, Any], Any] = {
    ("lightning_modules.dynamics.LatentODE", "field_input", "jet"): "all_derivatives",
    ("lightning_modules.dynamics.ode.LatentODE", "field_input", "jet"): "all_derivatives",
}
"""(New class path, new argument, old value) -> new value, for arguments that choose by a word."""


@dataclass(frozen=True)
class Names:
    """The tables above, together."""

    modules: Mapping[str, str] = field(default_factory=lambda: MODULES)
    classes: Mapping[str, str] = field(default_factory=lambda: CLASSES)
    arguments: Mapping[tuple[str, str], str] = field(default_factory=lambda: ARGUMENTS)
    values: Mapping[tuple[str, str, Any], Any] = field(default_factory=lambda: VALUES)

    def class_path(self, path: str) -> str:
        """Today's class path."""
        if path in self.classes:
            return self.classes[path]
        module, _, name = path.rpartition(".")
        return f"{self.modules[module]}.{name}" if module in self.modules else path

    def of_arguments(self, path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Today's arguments of the class that is today at `path`.

        Raises:
            ValueError: if an old and a new name of one argument are both there.
        """
        found: dict[str, Any] = {}
        for old, value in arguments.items():
            new = self.arguments.get((path, old)) or self.arguments.get(("*", old), old)
            if new in found:
                raise ValueError(f"{path} is given `{new}` twice: once by the older name `{old}`. Remove one.")
            value = self.of_config(value)
            plain = isinstance(value, str | int | float)
            found[new] = self.values.get((path, new, value), value) if plain else value
        return found

    def of_config(self, config: Any) -> Any:
        """The configuration with every class path, and the arguments below it, by today's names."""
        if isinstance(config, str):
            return self.class_path(config)
        if isinstance(config, list | tuple):
            return [self.of_config(entry) for entry in config]
        if not isinstance(config, Mapping):
            return config
        if not isinstance(config.get("class_path"), str):
            return {key: self.of_config(value) for key, value in config.items()}
        path = self.class_path(config["class_path"])
        found = {key: self.of_config(value) for key, value in config.items()} | {"class_path": path}
        for key in ("init_args", "dict_kwargs"):
            if isinstance(config.get(key), Mapping):
                found[key] = self.of_arguments(path, config[key])
        return found
