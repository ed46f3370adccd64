"""Metrics that keep one row per clip with its id, so neither the order of clips nor the number of processes matters."""

from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import pad

from benchmarks.metrics.base import ClipMetric
from benchmarks.utils.errors import UserError
from datamodules.clip import source_of

Rows = Float[Tensor, "clip width"]
Ids = Int[Tensor, " clip"]
Layout = dict[str, str | None]

_DTYPES = (torch.float32, torch.float64, torch.int64)


class GatheredMetric(ClipMetric, ABC):
    """Keeps named rows, one per clip, until the metric is computed.

    A repeated clip counts once, so a sampler that pads the last batch with repeated clips does not bias the result.

    Args:
        kinds: the names of the rows, for example "prediction" and "target" for the features of either.
        repeated: what to do with several rows of one clip: "mean" averages them, as for several samples of a clip;
            "first" keeps the first, where a mean of rows has no meaning; "all" keeps every row, each with the clip's
            id, for metrics that compare the samples of a clip.
        kwargs: settings of `torchmetrics.Metric`.
    """

    def __init__(self, *kinds: str, repeated: Literal["mean", "first", "all"] = "mean", **kwargs: Any) -> None:
        # torchmetrics' own gathering fails on a process without clips, whose missing rows it takes for a float32 vector
        super().__init__(**{"dist_sync_fn": gather_rows, **kwargs})
        self.repeated = repeated
        self.kinds = kinds
        self.add_state("origins", default=[], dist_reduce_fx="cat")
        for kind in kinds:
            self.add_state(f"{kind}_ids", default=[], dist_reduce_fx="cat")
            self.add_state(f"{kind}_rows", default=[], dist_reduce_fx="cat")

    def know_origins(self, ids: Ids, origins: Ids) -> None:
        """Keep the sources of these clips: 16 bytes each."""
        self.origins.append(torch.stack([ids, origins], dim=1).long())  # type: ignore[union-attr, operator]

    def origins_of(self, ids: Ids) -> Ids:
        """The source of each of these clips; its film, as the id says, where `know_origins` was not told.

        Inside `gathered`, clips of all processes are known.
        """
        known = _joined(self.origins).cpu().reshape(-1, 2).long()  # type: ignore[arg-type]
        films = source_of(ids)
        if not len(known):
            return films
        known = known[known[:, 0].argsort(stable=True)]
        place = torch.searchsorted(known[:, 0].contiguous(), ids).clamp(max=len(known) - 1)
        return torch.where(known[place, 0] == ids, known[place, 1], films)

    def sources_of(self, ids: Ids) -> int | None:
        """The number of sources of these clips; None without clips."""
        return len(self.origins_of(ids).unique()) or None

    def known_sources(self) -> int | None:
        """The number of sources that `know_origins` was told; None without any."""
        known = _joined(self.origins).reshape(-1, 2)  # type: ignore[arg-type]
        return len(known[:, 1].unique()) or None

    def keep(self, kind: str, ids: Ids, rows: Rows) -> None:
        """Append one row for each of these clips; raises UserError if their width differs from the rows before."""
        kept: list[Tensor] = getattr(self, f"{kind}_rows")
        if kept and kept[0].shape[1] != rows.shape[1]:
            raise UserError(
                f"The metric '{self.name}' holds rows of width {kept[0].shape[1]} and got width {rows.shape[1]}: all "
                "clips of an evaluation must have the same number of frames. Evaluate each length separately."
            )
        kept.append(rows.detach())
        getattr(self, f"{kind}_ids").append(ids.to(rows.device, torch.int64))

    def kept(self, kind: str) -> tuple[Ids, Rows]:
        """Ids in rising order and their rows, on the CPU; each id once, or once per sample with `repeated="all"`.

        Inside `gathered`, those of all processes. The samples of one clip keep the order in which they were added.
        """
        ids, rows = (_joined(getattr(self, f"{kind}_{part}")).cpu() for part in ("ids", "rows"))
        if not len(ids):
            return ids.to(torch.int64), rows.reshape(0, rows.shape[-1] if rows.ndim == 2 else 0)
        if self.repeated == "all":
            order = ids.argsort(stable=True)
            return ids[order], rows[order]
        unique, index, count = ids.unique(return_inverse=True, return_counts=True)
        if len(unique) == len(ids) or self.repeated == "first":
            order = index.argsort(stable=True)
            return unique, rows[order[count.cumsum(0) - count]]
        sums = torch.zeros(len(unique), rows.shape[1], dtype=torch.float64).index_add_(0, index, rows.double())
        return unique, (sums / count[:, None]).to(rows.dtype)

    def held(self, state: str) -> Tensor:
        """A state in one piece, on the CPU; inside `gathered`, that of all processes."""
        return _joined(getattr(self, state)).cpu()

    def layout(self) -> Layout:
        """Width and type of the rows of each kind that this process holds, None where it has none.

        Rows can be gathered only where all processes that have some agree.
        """
        held = {kind: getattr(self, f"{kind}_rows") for kind in self.kinds}
        return {kind: f"{rows[0].shape[1]} x {rows[0].dtype}" if len(rows) else None for kind, rows in held.items()}

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside this context `kept` returns the clips of all processes; every process must enter it."""
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync and not self._is_synced,
            should_unsync=self._should_unsync and not self._is_synced,
        ):
            yield


def gather_rows(rows: Tensor, group: Any = None) -> list[Tensor]:
    """All-gather of rows whose number may differ between processes and may be zero; one tensor per rank.

    A process without rows does not know their type and width, and takes them from the others.
    """
    header = torch.zeros(4, dtype=torch.int64, device=rows.device)
    if rows.numel():
        header[:] = torch.tensor([len(rows), rows.ndim, rows[0].numel(), _DTYPES.index(rows.dtype)])
    headers = [torch.zeros_like(header) for _ in range(dist.get_world_size(group))]
    dist.all_gather(headers, header, group=group)
    table = [entry.tolist() for entry in headers]
    counts = [entry[0] for entry in table]
    if not any(counts):
        return [rows] * len(counts)
    _, dimensions, width, kind = next(entry for entry in table if entry[0])
    mine = rows if rows.numel() else torch.empty((0, width)[:dimensions], dtype=_DTYPES[kind], device=rows.device)
    longest = max(counts)
    mine = pad(mine, [0, 0] * (dimensions - 1) + [0, longest - len(mine)]).contiguous()
    everyone = [torch.empty_like(mine) for _ in counts]
    dist.all_gather(everyone, mine, group=group)
    return [part[:count] for part, count in zip(everyone, counts, strict=True)]


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.zeros(0)
