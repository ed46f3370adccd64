"""Backends: this machine, SLURM by submitit, Ray; each runs jobs and reports their outcomes. Imports no torch."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.runs.launchers.scheduler import Backend, Handle
from benchmarks.runs.launchers.worker import CHILD, JobSpec, Outcome, perform
from benchmarks.utils.errors import UserError, unknown_name_error

NAMES = ("local", "slurm", "ray")


def backend(name: str, options: Sequence[str], folder: Path, *, command: Sequence[str] = CHILD) -> Backend:
    """The backend of a name.

    Args:
        name: local, slurm or ray.
        options: `key=value` each: `workers`, `gpus` for local; whatever submitit's `update_parameters` takes for slurm
            (`timeout_min=600`, `slurm_partition=gpu`, `gpus_per_node=1`), and `cluster=local` to try without SLURM;
            `address`, `cpus`, `gpus` for ray.
        folder: where the backend may keep logs.
        command: what is run before a job's words.

    Raises:
        UserError: for an unknown backend or option, or when its package is not installed.
    """
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--launcher-option must be key=value; got '{option}'.")
        try:
            given[key] = read_yaml_text(value)
        except yaml.YAMLError as error:
            raise UserError(f"The value of --launcher-option {key} is not YAML: {error}.") from error
    if name == "local":
        return Local(command=command, **_known(given, name, workers=1, gpus=0))
    if name == "slurm":
        return Slurm(folder, given, command=command)
    if name == "ray":
        return Ray(command=command, **_known(given, name, address=None, cpus=1, gpus=0))
    raise unknown_name_error("launcher", name, NAMES)


class Local:
    """Processes on this machine, `workers` at a time.

    Args:
        workers: how many at a time.
        gpus: how many GPUs to assign, one to a worker; 0: every job sees all GPUs.
        command: what is run before a job's words.
    """

    def __init__(self, workers: int = 1, gpus: int = 0, *, command: Sequence[str] = CHILD) -> None:
        if workers < 1 or gpus < 0:
            raise UserError(f"workers must be at least 1 and gpus at least 0; got {workers} and {gpus}.")
        self.capacity = workers
        self._slots = list(range(workers))
        self._gpus = gpus
        self._command = command

    def submit(self, spec: JobSpec) -> Handle:
        """Start it in a free slot."""
        slot = self._slots.pop(0)
        environment = {"CUDA_VISIBLE_DEVICES": str(slot % self._gpus)} if self._gpus else {}
        return _Thread(spec, environment, self._command, lambda: self._slots.append(slot))

    def close(self) -> None:
        """Nothing is left."""


class _Thread:
    def __init__(self, spec: JobSpec, environment: Mapping[str, str], command: Sequence[str], free: Any) -> None:
        from dataclasses import replace

        self._outcome: Outcome | None = None
        self._free = free
        self._started: list[Any] = []
        spec = replace(spec, environment={**spec.environment, **environment})
        self._thread = threading.Thread(target=self._run, args=(spec, command), daemon=True)
        self._thread.start()

    def _run(self, spec: JobSpec, command: Sequence[str]) -> None:
        try:
            self._outcome = perform(spec, str(Path.cwd()), command, started=self._started.append)
        except OSError as error:
            self._outcome = Outcome(1, str(error))

    def poll(self) -> Outcome | bool:
        if self._thread.is_alive():
            return True
        self._free()
        return self._outcome or Outcome(1, "The job's thread ended without a result.")

    def cancel(self) -> None:
        for process in self._started:
            process.terminate()
        self._thread.join(timeout=30)


class Slurm:
    """SLURM, through submitit; the working folder must be shared by all nodes.

    Args:
        folder: of submitit's logs.
        options: of its `update_parameters`; `cluster: local` runs the same way without SLURM.
        command: what is run before a job's words.
    """

    capacity = None

    def __init__(self, folder: Path, options: Mapping[str, Any], *, command: Sequence[str] = CHILD) -> None:
        try:
            import submitit
        except ImportError as error:
            raise UserError("--launcher slurm needs submitit: `pip install chronoreel[cluster]`.") from error
        options = dict(options)
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=options.pop("cluster", "slurm"))
            self._executor.update_parameters(**{"timeout_min": 24 * 60, **options})
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise UserError(f"submitit does not accept these options: {error}") from error
        self._command = command

    def submit(self, spec: JobSpec) -> Handle:
        """Queue it."""
        self._executor.update_parameters(name=spec.name[:60])
        return _Submitted(self._executor.submit(perform, spec, str(Path.cwd()), self._command))

    def close(self) -> None:
        """Nothing is left: jobs in the queue were cancelled."""


class _Submitted:
    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> Outcome | bool:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        if not self._job.done():
            return str(self._job.state).upper() == "RUNNING"
        try:
            result: Outcome = self._job.result()
        except FailedJobError as error:
            return Outcome(1, str(error))
        except UncompletedJobError as error:
            return Outcome(1, f"The worker was lost ({self._job.state}). {error}", lost=True)
        return result

    def cancel(self) -> None:
        self._job.cancel(check=False)


class Ray:
    """A Ray cluster; every node needs this installation and, to resume lost trainings, the same folders.

    Args:
        address: of the cluster; None: the one of RAY_ADDRESS, or else one of this machine, started for the occasion.
        cpus: of each job.
        gpus: of each job; may be a fraction.
        command: what is run before a job's words.
    """

    capacity = None

    def __init__(
        self,
        address: str | None = None,
        cpus: float | int = 1,
        gpus: float | int = 0,
        *,
        command: Sequence[str] = CHILD,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError("--launcher ray needs Ray: `pip install chronoreel[cluster]`.") from error
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        self._command = list(command)
        # lost workers are counted by `launch`, in one way for all backends
        self._remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_announced)
        self._signs: Any = ray.remote(num_cpus=0)(_Signs).remote()

    def submit(self, spec: JobSpec) -> Handle:
        """Queue it."""
        return _Remote(self._remote.remote(spec, str(Path.cwd()), self._command, self._signs), spec.name, self._signs)

    def close(self) -> None:
        """Leave the cluster, if it was joined here."""
        import ray

        if self._own:
            ray.shutdown()
        else:
            ray.kill(self._signs)


class _Remote:
    def __init__(self, reference: Any, name: str, signs: Any) -> None:
        self._reference = reference
        self._name = name
        self._signs = signs
        self._running = False

    def poll(self) -> Outcome | bool:
        import ray

        ready, _ = ray.wait([self._reference], timeout=0)
        if not ready:
            self._running = self._running or ray.get(self._signs.seen.remote(self._name))
            return self._running
        try:
            result: Outcome = ray.get(self._reference)
        except ray.exceptions.RayTaskError as error:
            return Outcome(1, str(error))
        except ray.exceptions.RayError as error:
            return Outcome(1, f"The worker was lost. {error}", lost=True)
        return result

    def cancel(self) -> None:
        import ray

        ray.cancel(self._reference, force=True)


class _Signs:
    """Knows which jobs have begun: Ray itself does not say whether a task runs or queues."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        self._names.add(name)

    def seen(self, name: str) -> bool:
        return name in self._names


def _announced(spec: JobSpec, folder: str, command: Sequence[str], signs: Any) -> Outcome:
    signs.add.remote(spec.name)
    return perform(spec, folder, command)


def _known(given: Mapping[str, Any], name: str, **defaults: Any) -> dict[str, Any]:
    for key in given:
        if key not in defaults:
            raise unknown_name_error(f"option of the launcher {name}:", key, defaults)
    return {**defaults, **given}
