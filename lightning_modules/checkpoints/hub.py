"""Hub: systems as folders or Hugging Face repositories: weights as safetensors, configuration as JSON, a card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datamodules.errors import UserError
from datamodules.files import write_text
from lightning_modules.checkpoints.build import load, save
from lightning_modules.system import System

if TYPE_CHECKING:
    from huggingface_hub import ModelHubMixin

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
"""Suffixes of pickled files, which can run code when they are loaded."""


class HubError(UserError):
    """A folder or repository holds no system that can be loaded safely; the message says why and what to do."""


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    trust: Sequence[str] = (),
) -> System:
    """The system in a folder that `save_pretrained` or `benchmarks export` made, or in a Hugging Face repository.

    Only safetensors and JSON are read: nothing is unpickled, and classes of other packages are rejected unless
    `trust` names their package.

    Args:
        name: a folder, or a repository such as `user/vid-ode-balls`, which needs `pip install chronoreel[hub]`.
        revision: branch, tag or commit of the repository.
        cache_dir: where downloads are stored; None: huggingface_hub's default.
        token: for private repositories; None: that of the current login.
        local_files_only: use earlier downloads only, without network.
        trust: further packages whose classes the configuration may name.

    Raises:
        HubError: if there is no system, or it cannot be loaded safely.
    """
    if Path(name).is_dir():
        return _from_folder(Path(name), trust)
    remote = hub_mixin()
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
    try:
        system: Any = remote.from_pretrained(
            str(name), local_files_only=local_files_only, trust=tuple(trust), **options
        )
    except HFValidationError as error:
        raise HubError(f"'{name}' is neither a folder nor the name of a repository (user/name).") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise HubError(
            f"No system could be loaded from the repository '{name}': {' '.join(str(error).split())[:300]}"
        ) from error
    return cast(System, system)


def save_pretrained(
    system: System, folder: Path, *, card: str | None = None, exported_from: str | None = None
) -> list[Path]:
    """Write weights, configuration and card; returns the files.

    Args:
        system: made by `build`, by `load` or by the command line.
        folder: created if it does not exist.
        card: the text of README.md; None: none is written, and an existing one is kept.
        exported_from: the sha256 of the checkpoint that holds the same weights, for the file of weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(system, folder / WEIGHTS, exported_from=exported_from)
    texts = {CONFIG: json.dumps(system.config, indent=2, sort_keys=True) + "\n"}
    texts |= {} if card is None else {CARD: card}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in (WEIGHTS, *texts)]


def push_to_hub(folder: Path, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload the files that `save_pretrained` wrote, and no others; returns the repository's address."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    address = api.create_repo(repository, private=private, exist_ok=True)
    api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=[WEIGHTS, CONFIG, CARD])
    return str(address)


def hub_mixin() -> "type[ModelHubMixin]":
    """huggingface_hub's mixin for this suite: `from_pretrained(id)` downloads, checks and builds a `System`.

    Raises:
        HubError: when huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import ModelHubMixin, hf_hub_download
    except ImportError as error:
        raise HubError(
            "Repositories of Hugging Face need huggingface_hub: `pip install chronoreel[hub]`. A folder needs nothing."
        ) from error

    class SystemOnHub(ModelHubMixin, library_name="chronoreel"):
        """A system in a Hugging Face repository."""

        def __init__(self, system: System) -> None:
            self.system = system

        def _save_pretrained(self, save_directory: Path) -> None:
            save_pretrained(self.system, save_directory)

        @classmethod
        def _from_pretrained(
            cls,
            *,
            model_id: str,
            revision: str | None,
            cache_dir: str | Path | None,
            force_download: bool,
            local_files_only: bool,
            token: str | bool | None,
            trust: Sequence[str] = (),
            **_: Any,
        ) -> Any:
            if Path(model_id).is_dir():
                return _from_folder(Path(model_id), trust)
            files = [
                hf_hub_download(
                    repo_id=model_id,
                    filename=name,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
                for name in (WEIGHTS, CONFIG)
            ]
            return _from_folder(Path(files[0]).parent, trust)

    return SystemOnHub


def _from_folder(folder: Path, trust: Sequence[str]) -> System:
    weights, config = folder / WEIGHTS, folder / CONFIG
    if not weights.is_file():
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
        raise HubError(
            f"{folder} holds no {WEIGHTS}."
            + (
                f" It holds {', '.join(pickled)}, which can run code when loaded and is not read. Ask its author for "
                "safetensors, or, for a .ckpt of this suite, use `benchmarks export` on it."
                if pickled
                else " Give a folder that `benchmarks export` made."
            )
        )
    system = load(weights, trust=trust)
    if config.is_file() and not _same(config, system.config):
        raise HubError(
            f"{config} differs from the configuration in {weights.name}: one of them was changed. Export "
            "the system again, or delete the changed file if it is config.json."
        )
    return system


def _same(path: Path, config: Mapping[str, Any] | None) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(config)))
    except ValueError:
        return False
