"""Upgrade: what a record of an older version says, in the form and by the names of this one. Imports no torch."""

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.records import renamed
from benchmarks.utils.hashing import content_hash

UNPROVEN = "it was recorded in version 1, whose code hash is of another kind; `benchmarks.commands.migrate` proves it"


def upgraded(content: Mapping[str, Any]) -> dict[str, Any]:
    """A record of version 2, as plain data, from one of version 1 or 2 that is valid as such.

    Values stay as they are; fields, settings, class paths and arguments get today's names. A record of version 1 is
    stale until it is proven.
    """
    found = _renamed_fields(dict(content), renamed.FIELDS)
    if found["version"] == 1:
        del found["code_files"]
        found |= {"version": 2, "code": {}, "checkpoint_sha256": None, "training_finished": None}
        found["stale_because"] = UNPROVEN
    names = renamed.names()
    found["model"] = {**found["model"], "class_path": names.class_path(found["model"]["class_path"])}
    found["row"] = renamed.ROWS.get((found["table"], found["row"]), found["row"])
    found["model"]["label"] = renamed.ROWS.get((found["table"], found["model"]["label"]), found["model"]["label"])
    found["config"] = renamed_config(found["config"])
    found["task"] = _renamed_keys(found["task"], {path[5:]: new for path, new in _settings() if path[:5] == "task."})
    found["metrics"] = {renamed.METRICS.get(name, name): value for name, value in found["metrics"].items()}
    found["protocol"] = _renamed_protocol(found["protocol"])
    return found


def renamed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration by today's names."""
    names = renamed.names()
    found = names.of_config(config)
    for group, path in renamed.GROUPS.items():
        if found.get(group):
            found[group] = names.of_arguments(path, found[group])
    return found


def _renamed_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    settings = _renamed_keys(protocol["settings"], dict(_settings()))
    if "metrics" in settings:
        settings["metrics"] = {renamed.METRICS.get(name, name): value for name, value in settings["metrics"].items()}
    readable = protocol["id"].rpartition("-")[0]
    for path, new in _settings():
        if path.startswith("task."):  # a label tells tasks apart by their arguments: `predict-given10`
            readable = re.sub(rf"-{re.escape(path[5:])}(?=[0-9.])", f"-{new}", readable)
    return {"id": f"{readable}-{content_hash(settings)[:8]}", "settings": settings}


def _settings() -> list[tuple[str, str]]:
    return list(renamed.SETTINGS.items())


def _renamed_fields(content: dict[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
    shallow = ("config", "protocol", "task", "code", "versions")
    kept = {key: content[key] for key in shallow if key in content and key not in table}
    rest = {key: value for key, value in content.items() if key not in kept}
    return {**_renamed_keys(rest, table), **kept}


def _renamed_keys(value: Any, table: Mapping[str, str], path: tuple[str, ...] = ()) -> Any:
    """The data with keys renamed whose path the table holds."""
    if isinstance(value, list | tuple):
        return [_renamed_keys(entry, table, path) for entry in value]
    if not isinstance(value, Mapping):
        return value
    found = {}
    for key, entry in value.items():
        here = (*path, key)
        found[next((new for old, new in table.items() if _fits(old.split("."), here)), key)] = _renamed_keys(
            entry, table, here
        )
    return found


def _fits(pattern: list[str], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(word in ("*", part) for word, part in zip(pattern, path, strict=True))
