"""Time, FLOP and memory of this process, and the pipe over which it receives commands."""

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
    """Counts the floating-point operations of convolutions, matrix products and attention, backward passes included.

    torch's own FlopCounterMode has the same formulas, but its module tracking fails on `torch.autograd.grad`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and add its FLOP."""
        kwargs = dict(kwargs or {})
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flop += formula(*args, **kwargs, out_val=result)
        return result


class Stopwatch:
    """Wall and CPU seconds between `start` and `stop`, with the device synchronised."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        """Start, after the device has finished its work."""
        self._wait()
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        """Seconds since `start`."""
        self._wait()
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def timed(run: Callable[[], Any], device: str, repeats: int) -> dict[str, Any]:
    """Minimum and median of `repeats` runs, after one warm-up run."""
    run()
    watch, found = Stopwatch(device), []
    for _ in range(repeats):
        watch.start()
        run()
        found.append(watch.stop())
    middle = len(found) // 2
    return {
        clock: {
            "min": min(seconds[clock] for seconds in found),
            "median": sorted(seconds[clock] for seconds in found)[middle],
        }
        for clock in ("wall", "cpu")
    }


def matmul_rate(device: str) -> float:
    """FLOP/s of one large matrix product in float32: the present peak rate of this machine."""
    side = _MATMUL[device]
    matrix = torch.rand(side, side, device=device)
    best = min(timed(lambda: matrix @ matrix, device, 2)["wall"].values())
    return float(2 * side**3 / best)


def peak_memory(device: str) -> int:
    """Peak bytes of this process: allocated by torch on a GPU, resident on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a child starts at its parent's
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class CommandPipe:
    """The worker's end of the pipe: the specification, then one command at a time, each with a JSON line as reply.

    All other output of the process goes to its stderr.
    """

    def __init__(self) -> None:
        self.replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.spec: dict[str, Any] = json.loads(sys.stdin.readline())

    def next(self) -> str:
        """The next command; ends the process when the pipe is closed."""
        command = sys.stdin.readline().strip()
        if not command:
            raise SystemExit(0)
        return command

    def reply(self, **content: Any) -> None:
        """Send the reply."""
        self.replies.write(json.dumps(content) + "\n")
        self.replies.flush()


class Public(Protocol):
    """Public code, as far as it is measured here."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """All trained networks."""

    def step(self) -> None:
        """One update of every player."""


def without_gpu() -> None:
    """Redirect public code that names a GPU to the CPU, in this process, from now on."""
    original = torch.randn

    def randn(*shape: Any, device: Any = None, **arguments: Any) -> torch.Tensor:
        return original(*shape, **arguments)

    torch.randn = randn
    torch.Tensor.cuda = lambda tensor: tensor  # type: ignore[method-assign, assignment, misc]


def serve(name: str, build: Callable[[dict[str, Any]], Public]) -> None:
    """Serve commands for public code as `benchmarks.profiling.worker` does for ours."""
    pipe = CommandPipe()
    spec = pipe.spec
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    try:
        model = build(spec)
    except UserError as error:
        pipe.reply(error=str(error))
        return
    watch = Stopwatch(spec["device"])
    while True:
        command = pipe.next()
        if command == "open":
            parameters = sum(p.numel() for network in model.networks for p in network.parameters())
            pipe.reply(model=name, parameters=parameters)
        elif command == "step":
            watch.start()
            model.step()
            pipe.reply(**watch.stop(), matmul=matmul_rate(spec["device"]))
        elif command == "count":
            with FlopCount() as count:
                model.step()
            pipe.reply(flop=count.flop, memory=peak_memory(spec["device"]), evaluations=None)
        else:
            pipe.reply()
