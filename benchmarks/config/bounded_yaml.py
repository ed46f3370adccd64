"""YAML from anywhere: read only after a pass over its events has shown that it stays small. Imports no torch.

A few hundred bytes of YAML can mean billions of values, or themselves: an alias repeats what its anchor names.
"""

from typing import Any

import yaml

LETTERS, VALUES, DEPTH = 2_000_000, 200_000, 100
"""The most that a text may hold: letters, values with every alias written out, levels of nesting."""

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same language as `yaml.safe_load`, eight times as fast where libyaml is there: a leaderboard reads every plan."""


class BoundedYAMLError(yaml.YAMLError):
    """A text is no YAML that is read here; one line says why."""


def read_yaml_text(text: str, loader: Any = Loader) -> Any:
    """The plain data that a text of YAML means.

    Args:
        text: one document.
        loader: one of PyYAML's safe loaders.

    Raises:
        BoundedYAMLError: if it is not YAML, holds tags of other languages, itself, or more than LETTERS, VALUES, DEPTH.
    """
    try:
        _measure(text, loader)
        return yaml.load(text, Loader=loader)
    except BoundedYAMLError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BoundedYAMLError(" ".join(str(error).split())[:300]) from error


def _measure(text: str, loader: Any) -> None:
    """Refuse a text that is too long, too deep, too large with its aliases written out, or holds itself."""
    if len(text) > LETTERS:
        raise BoundedYAMLError(f"it has {len(text)} letters; at most {LETTERS} are read")
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # of each: its anchor, and the values before it
    count = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in open_nodes):
                raise BoundedYAMLError(f"the value '{event.anchor}' holds itself")
            count += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
        if len(open_nodes) > DEPTH:
            raise BoundedYAMLError(f"it is nested more than {DEPTH} deep")
        if count > VALUES:
            raise BoundedYAMLError(f"it holds more than {VALUES} values, with its aliases written out")
