"""Model cards: the README.md of an exported system, made from its records, with Hugging Face's front matter."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from benchmarks.leaderboard.markdown import as_text
from benchmarks.records.parts import Measurement
from benchmarks.records.record import Record
from benchmarks.runs.standing import retired_because

_CAPABILITIES = {
    "predict": "predicts the frames after a clip, at any times",
    "interpolate": "interpolates between the frames of a clip, at any times",
    "inbetween": "inbetweens the first and last frames of a clip",
    "generate": "generates new clips, at any times",
}


def card(
    name: str, config: Mapping[str, Any], records: Sequence[Record], licence: str, repository: str | None = None
) -> str:
    """The text of a card: the model, its use, its scores, its training and its configuration.

    Args:
        name: of the model, as the title.
        config: `class_path` and `init_args`.
        records: of its tests.
        licence: of the weights, as Hugging Face spells it.
        repository: its name on Hugging Face; None: a folder.
    """
    front = {
        "library_name": "chronoreel",
        "license": licence,
        "tags": ["chronoreel", "video-generation", *sorted({record.task["name"] for record in records})],
    }
    if records:
        front["model-index"] = [{"name": name, "results": [result for r in records for result in _results(r)]}]
    kind = config["class_path"].rpartition(".")[2]
    tasks = list(dict.fromkeys(record.task["name"] for record in records))
    does = "; ".join(_CAPABILITIES.get(task, task) for task in tasks)
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {name}",
        as_text(" ".join((f"A `{kind}` of ChronoReel" + (f" that {does}." if does else ".")).split())),
        "## Use",
        "```python\nfrom lightning_modules.checkpoints.hub import from_pretrained\n\n"
        f'system = from_pretrained("{repository or "this folder"}")\n```',
        "Weights are safetensors, the configuration is JSON: nothing is unpickled.",
    ]
    if records:
        parts += ["## Numbers", *map(_table, records), "## Training", _training(records[0])]
    parts += [
        "## Configuration",
        f"```yaml\n{yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _table(record: Record) -> str:
    lines = [
        f"Task `{record.protocol.id}` on `{record.data}`, split {record.split}, seed {record.seed}:",
        "",
        "| metric | value | 95 % interval | clips |",
        "|---|---|---|---|",
    ]
    for metric, entry in sorted(record.metrics.items()):
        arrow = "↑" if entry.higher_is_better else "↓"
        lines.append(f"| {metric} {arrow} | {_cell(entry)} | {_interval(entry)} | {entry.n or 'n/a'} |")
    missing = [f"{metric}: {entry.reason}." for metric, entry in sorted(record.metrics.items()) if entry.reason]
    if why := retired_because(record):
        missing.append(f"These numbers are no result of the present code: {record.stale_reason or why}.")
    lines += ["", *missing] if missing else []
    return as_text("\n".join(" ".join(line.split()) for line in lines))


def _training(record: Record) -> str:
    pace = record.throughput
    facts = {
        "generator updates": f"{record.budget.updates:,}",
        "time": f"{record.budget.seconds:,.0f} s on {record.budget.device}",
        "parameters": f"{record.parameters:,}",
        "sampling": pace and f"{pace.samples_per_second:.4g} per second, batches of {pace.batch} on {pace.device}",
        "mode": record.mode,
        "ended": "before its epochs, updates or seconds were reached" * (record.training_finished is False),
        "commit": record.commit and record.commit + (" with uncommitted changes" if record.dirty else ""),
        "code": f"sha256 {record.code_sha256}",
        "versions": ", ".join(f"{package} {version}" for package, version in record.versions.items()),
        "tested": record.date,
    }
    return as_text("\n".join(f"- {fact}: {' '.join(text.split())}" for fact, text in facts.items() if text))


def _results(record: Record) -> list[dict[str, Any]]:
    measured = {metric: entry for metric, entry in record.metrics.items() if entry.value is not None}
    if not measured:
        return []
    return [
        {
            "task": {"type": "video-generation", "name": record.protocol.id},
            "dataset": {"type": record.data, "name": record.data, "split": record.split},
            "metrics": [
                {"type": metric, "name": metric, "value": entry.value} for metric, entry in sorted(measured.items())
            ],
        }
    ]


def _cell(entry: Measurement) -> str:
    return "n/a" if entry.value is None else f"{entry.value:.4g}"


def _interval(entry: Measurement) -> str:
    return "n/a" if entry.interval is None else f"{entry.interval[0]:.4g} to {entry.interval[1]:.4g}"
