"""Measuring: time, FLOP and memory of this process, and the pipe over which it is told what to measure."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.utils.errors import UserError

_MATMUL = {"cpu": 2048, "cuda": 8192}


class FlopCount(TorchDispatchMode):
    """Counts the floating-point operations of convolutions, matrix products and attention, backward ones too.

    torch's own FlopCounterMode has the same formulas, but its module tracking fails on `torch.autograd.grad`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and add what it costs."""
        kwargs = dict(kwargs or {})
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flop += formula(*args, **kwargs, out_val=result)
        return result


class Stopwatch:
    """Wall and CPU seconds of what the device did between `start` and `stop`."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        """Begin, when the device has nothing left to do."""
        self._wait()
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        """Seconds since `start`."""
        self._wait()
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def timed(work: Callable[[], Any], device: str, repeats: int) -> dict[str, Any]:
    """Minimum and median of `repeats` runs, after one that is not timed."""
    work()
    watch, found = Stopwatch(device), []
    for _ in range(repeats):
        watch.start()
        work()
        found.append(watch.stop())
    middle = len(found) // 2
    return {
        clock: {"min": min(run[clock] for run in found), "median": sorted(run[clock] for run in found)[middle]}
        for clock in ("wall", "cpu")
    }


def matmul_rate(device: str) -> float:
    """FLOP/s of one large matrix product in float32, the best that this machine does just now."""
    side = _MATMUL[device]
    matrix = torch.rand(side, side, device=device)
    best = min(timed(lambda: matrix @ matrix, device, 2)["wall"].values())
    return float(2 * side**3 / best)


def peak_memory(device: str) -> int:
    """The most bytes this process has held: on the GPU that torch allocated, on a CPU resident."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a child begins at its parent's
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Orders:
    """The other end of the pipe: the specification first, then one word at a time, each answered by a line of JSON.

    Whatever else the process prints goes to its stderr.
    """

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.spec: dict[str, Any] = json.loads(sys.stdin.readline())

    def next(self) -> str:
        """The next word; the end of the process if nobody will say another."""
        word = sys.stdin.readline().strip()
        if not word:
            raise SystemExit(0)
        return word

    def answer(self, **content: Any) -> None:
        """Send the answer."""
        self.answers.write(json.dumps(content) + "\n")
        self.answers.flush()


class Public(Protocol):
    """Somebody's public code, as far as it is measured here."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """All that learn."""

    def step(self) -> None:
        """One update of every player."""


def without_gpu() -> None:
    """What public code asks of a GPU by name gets the CPU, in this process, from now on."""
    drawn = torch.randn

    def randn(*shape: Any, device: Any = None, **arguments: Any) -> torch.Tensor:
        return drawn(*shape, **arguments)

    torch.randn = randn
    torch.Tensor.cuda = lambda tensor: tensor  # type: ignore[method-assign, assignment, misc]


def serve(name: str, build: Callable[[dict[str, Any]], Public]) -> None:
    """Answer orders about public code as `benchmarks.profiling.worker` answers them about ours."""
    orders = Orders()
    spec = orders.spec
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    try:
        model = build(spec)
    except UserError as error:
        orders.answer(error=str(error))
        return
    watch = Stopwatch(spec["device"])
    while True:
        word = orders.next()
        if word == "open":
            parameters = sum(p.numel() for network in model.networks for p in network.parameters())
            orders.answer(model=name, parameters=parameters)
        elif word == "step":
            watch.start()
            model.step()
            orders.answer(**watch.stop(), matmul=matmul_rate(spec["device"]))
        elif word == "count":
            with FlopCount() as count:
                model.step()
            orders.answer(flop=count.flop, memory=peak_memory(spec["device"]), evaluations=None)
        else:
            orders.answer()
