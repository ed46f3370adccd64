"""Launched jobs all end, once; a lost worker's job is done again; records come home; one table shows them all."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.runs.launchers.backends import backend
from benchmarks.runs.launchers.scheduler import Backend, Handle, JobProgress, launch
from benchmarks.runs.launchers.status_table import LiveTable, TrainingStatus, clock, status_of, status_of_all
from benchmarks.runs.launchers.worker import CHILD, Artifact, JobSpec, Outcome, perform, write_files
from benchmarks.utils.errors import UserError

WORKER = """
import os, pathlib, signal, sys, time
name, action = sys.argv[1:]
marks = pathlib.Path("marks"); marks.mkdir(exist_ok=True)
tries = len(list(marks.glob(name + ".*")))
(marks / f"{name}.{tries}").write_text(f"{time.monotonic()}")
if action == "die" and tries == 0: os.kill(os.getpid(), signal.SIGKILL)
if action == "always": os.kill(os.getpid(), signal.SIGKILL)
end = time.monotonic() + 60
while action == "wait" and not (marks / "go").exists() and time.monotonic() < end: time.sleep(0.05)
if action == "fail": sys.exit("the fields do not fit")
time.sleep(0.3 if action == "slow" else 0)
out = pathlib.Path("results/tiny"); out.mkdir(parents=True, exist_ok=True)
(out / f"{name}.json").write_text(name)
(marks / f"{name}.end").write_text(f"{time.monotonic()}")
"""
COMMAND = (sys.executable, "worker.py")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("worker.py").write_text(WORKER)
    return tmp_path


def spec(name: str, action: str = "do", *folders: str) -> JobSpec:
    return JobSpec(name, (name, action), frozenset(folders), (f"results/*/{name}.json",))


def tries(name: str) -> int:
    return len([path for path in Path("marks").glob(f"{name}.*") if path.suffix != ".end"])


def states(jobs: list[JobProgress]) -> list[str]:
    return [job.state for job in jobs]


class Instant:
    """A backend that has a job done when it takes it; for the rules of `launch` itself."""

    capacity: int | None = None

    def __init__(self, answer: Callable[[JobSpec, int], Outcome | bool]) -> None:
        self.answer = answer
        self.taken: list[str] = []
        self.cancelled: list[str] = []
        self.closed = False

    def submit(self, spec: JobSpec) -> Handle:
        self.taken.append(spec.name)
        outer, number = self, self.taken.count(spec.name)

        class Taken:
            def poll(self) -> Outcome | bool:
                return outer.answer(spec, number)

            def cancel(self) -> None:
                outer.cancelled.append(spec.name)

        return Taken()

    def close(self) -> None:
        self.closed = True


def test_a_lost_worker_is_replaced_so_often_and_a_failure_is_not(tmp_path: Path) -> None:
    answers = {
        "good": lambda n: Outcome(0),
        "unlucky": lambda n: Outcome(0) if n == 2 else Outcome(-9, lost=True),
        "cursed": lambda n: Outcome(-9, lost=True),
        "wrong": lambda n: Outcome(1, "why"),
    }
    ours = Instant(lambda spec, n: answers[spec.name](n))
    jobs = launch([JobSpec(name, ()) for name in answers], ours, retries=2, pause=0, interval=0, home=tmp_path)
    assert states(jobs) == ["done", "done", "failed", "failed"]
    assert [ours.taken.count(name) for name in answers] == [1, 2, 3, 1]
    assert [job.lost for job in jobs] == [0, 1, 2, 0]
    assert jobs[3].outcome is not None
    assert jobs[3].outcome.tail == "why"
    assert ours.closed


def test_whatever_happens_no_job_is_left_running() -> None:
    ours = Instant(lambda spec, n: True)

    def interrupt(jobs: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch([JobSpec("a", ()), JobSpec("b", ())], ours, interval=0, show=interrupt)
    assert ours.cancelled == ["a", "b"]
    assert ours.closed


def test_jobs_that_share_a_folder_take_turns(tmp_path: Path) -> None:
    together: list[set[str]] = []
    counts: dict[str, int] = {}

    def answer(spec: JobSpec, _: int) -> Outcome | bool:
        counts[spec.name] = counts.get(spec.name, 0) + 1
        return Outcome(0) if counts[spec.name] > 3 else True

    def watch(jobs: object) -> None:
        assert isinstance(jobs, list)
        together.append({job.spec.name for job in jobs if job.handle is not None})

    folders = {"a": ["x"], "b": ["x"], "c": ["y"], "d": ["x", "y"]}
    specs = [JobSpec(name, (), frozenset(used)) for name, used in folders.items()]
    launch(specs, Instant(answer), interval=0, show=watch, home=tmp_path)
    assert {"a", "c"} in together
    assert not any({"a", "b"} <= at_once or {"d", "c"} <= at_once for at_once in together)


def test_on_this_machine(here: Path) -> None:
    specs = [spec("good", "slow"), spec("unlucky", "die"), spec("wrong", "fail"), spec("other", "slow")]
    ours = backend("local", ["workers=2"], here, command=COMMAND)
    jobs = launch(specs, ours, pause=0, interval=0.02)
    assert states(jobs) == ["done", "done", "failed", "done"]
    assert tries("unlucky") == 2
    assert jobs[2].outcome is not None
    assert "the fields do not fit" in jobs[2].outcome.tail
    assert Path("results/tiny/unlucky.json").read_text() == "unlucky"


def test_gpus_are_dealt_out(here: Path) -> None:
    Path("worker.py").write_text("import os, sys; sys.exit(os.environ['CUDA_VISIBLE_DEVICES'])")
    ours = backend("local", ["workers=2", "gpus=2"], here, command=COMMAND)
    jobs = launch([spec("a"), spec("b")], ours, interval=0.02)
    assert {job.outcome.tail.strip() for job in jobs if job.outcome} == {"0", "1"}


def test_an_interrupted_launch_stops_what_it_started(here: Path) -> None:
    ours = backend("local", ["workers=1"], here, command=COMMAND)

    def stop(jobs: object) -> None:
        if tries("long"):
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        launch([spec("long", "wait")], ours, interval=0.02, show=stop)
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_on_slurm_as_submitit_runs_it_locally(here: Path) -> None:
    pytest.importorskip("submitit")
    specs = [spec("good"), spec("unlucky", "die"), spec("wrong", "fail")]
    ours = backend("slurm", ["cluster=local", "timeout_min=2"], here / "logs", command=COMMAND)
    jobs = launch(specs, ours, pause=0, interval=0.1)
    assert states(jobs) == ["done", "done", "failed"]
    assert tries("unlucky") == 2
    assert Path("results/tiny/good.json").read_text() == "good"


@pytest.mark.slow
def test_submitit_says_when_a_worker_itself_is_lost(here: Path) -> None:
    pytest.importorskip("submitit")
    ours = backend("slurm", ["cluster=local", "timeout_min=2"], here / "logs", command=COMMAND)
    killed: list[int] = []

    def kill(jobs: object) -> None:
        assert isinstance(jobs, list)
        if tries("victim") and not killed and jobs[0].handle is not None:
            killed.extend(family(jobs[0].handle._job._process.pid))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            Path("marks/go").touch()

    (job,) = launch([spec("victim", "wait")], ours, pause=0, interval=0.1, show=kill)
    assert killed
    assert (job.state, job.lost) == ("done", 1)


@pytest.mark.slow
def test_on_a_ray_cluster_of_two_nodes_that_loses_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "300000")  # on a busy machine Ray's own processes start slowly
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        specs = [spec("one", "wait"), spec("two", "wait"), spec("wrong", "fail"), spec("unlucky", "die")]
        removed: list[float] = []

        def lose_a_node(jobs: object) -> None:
            if not removed and tries("one") and tries("two"):
                removed.append(time.monotonic())
                cluster.remove_node(second, allow_graceful=False)
                Path("marks/go").touch()

        ours = backend("ray", ["cpus=1"], here, command=COMMAND)
        jobs = launch(specs, ours, retries=3, pause=1, interval=0.2, show=lose_a_node)
        assert removed
        assert [job.state for job in jobs] == ["done", "done", "failed", "done"]
        assert sum(job.lost for job in jobs[:2]) >= 1
        assert tries("unlucky") == 2
        assert Path("results/tiny/one.json").is_file()
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_what_comes_home_stays_in_the_house(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (path,) = write_files({"results/a.json": Artifact(b"1", 100.0)}, home)
    assert path.read_bytes() == b"1"
    assert write_files({"results/a.json": Artifact(b"0", 100.0)}, home) == []  # a shared folder has it already
    assert write_files({"results/a.json": Artifact(b"2", 200.0)}, home) == [path]
    assert path.read_bytes() == b"2"
    with pytest.raises(UserError, match="outside of"):
        write_files({"../a.json": Artifact(b"1", 100.0)}, home)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_job_ends_with_its_worker(here: Path) -> None:
    code = (
        "import benchmarks.cli, pathlib, time\n"
        "def hang(): pathlib.Path('up').write_text(''); time.sleep(60)\n"
        "benchmarks.cli.benchmarks = hang\n"
        "from benchmarks.cli import child; child()"
    )
    command = (sys.executable, "-c", code)
    worker = os.fork()
    if worker == 0:
        perform(JobSpec("a", ()), str(here), command, started=lambda p: Path("pid").write_text(str(p.pid)))
        os._exit(0)
    until(lambda: Path("up").is_file())
    job = int(Path("pid").read_text())
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    until(lambda: not alive(job))
    assert CHILD[0] == sys.executable


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "It has not come to pass."
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slrum", [], "Did you mean 'slurm'"),
        ("local", ["worker=2"], "Did you mean 'workers'"),
        ("local", ["workers"], "must be key=value"),
        ("local", ["workers=0"], "at least 1"),
    ],
)
def test_mistakes_name_the_way_out(name: str, options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        backend(name, options, tmp_path)


def test_the_table_shows_state_progress_time_left_and_the_best_value(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/progress.json").write_text(json.dumps({"fraction": 0.25, "seconds_left": 90, "updates": 5}))
    (tmp_path / "a/measurements.csv").write_text(
        "step,stage,task,metric,frame,value,higher_is_better\n"
        "1,val,predict,psnr,,20.5,1\n1,val,predict,psnr,1,99,1\n1,val,predict,mse,,0.5,0\n"
        "2,val,predict,psnr,,19,1\n2,val,predict,mse,,0.25,0\n"
    )
    assert status_of(tmp_path / "a", "mse") == TrainingStatus(0.25, 90, "mse 0.25 (predict, val)")
    assert status_of(tmp_path / "a") == TrainingStatus(0.25, 90, "psnr 20.5 (predict, val)")
    assert status_of(tmp_path / "b") == TrainingStatus()
    jobs = [JobProgress(JobSpec(name, ())) for name in "abc"]
    jobs[0].state, jobs[0].started = "running", time.monotonic() - 65
    jobs[1].state, jobs[1].outcome, jobs[1].lost, jobs[1].seconds = "failed", Outcome(1), 2, 3
    console = Console(width=140, record=True, force_terminal=True, file=(tmp_path / "out").open("w"))
    shown = LiveTable({name: [tmp_path / name] for name in "abc"}, "mse", console)
    console.print(shown.table(jobs))
    text = console.export_text()
    assert "1 of 3 jobs ended" in text
    (line,) = [line for line in text.splitlines() if "running" in line]
    for part in ("25%", "1:05", "1:30", "mse 0.25 (predict, val)"):
        assert part in line
    assert "failed, again after 2 lost" in text


def test_a_row_of_two_trainings_shows_both(tmp_path: Path) -> None:
    first, second = tmp_path / "motion", tmp_path / "video"
    for folder in (first, second):
        folder.mkdir()
    assert status_of_all([first, second]) == status_of_all([]) == TrainingStatus()
    (first / "progress.json").write_text(json.dumps({"fraction": 0.5, "seconds_left": 90}))
    assert status_of_all([first, second]) == TrainingStatus(0.25, None)  # nobody knows how long the second will take
    (first / "progress.json").write_text(json.dumps({"fraction": 1.0, "seconds_left": 0.0}))
    (second / "progress.json").write_text(json.dumps({"fraction": 0.5, "seconds_left": 30}))
    assert status_of_all([first, second]) == TrainingStatus(0.75, 30)
    line = "step,stage,task,metric,frame,value,higher_is_better\n1,val,generate,{},,2,0\n"
    (first / "measurements.csv").write_text(line.format("motion_distance"))
    assert status_of_all([first, second]).best == "motion_distance 2 (generate, val)"
    (second / "measurements.csv").write_text(line.format("fvd"))
    assert status_of_all([first, second]).best == "fvd 2 (generate, val)"


def test_without_a_terminal_each_change_is_a_line(tmp_path: Path) -> None:
    console = Console(width=80, record=True, force_terminal=False, file=(tmp_path / "out").open("w"))
    job = JobProgress(JobSpec("a", ()))
    with LiveTable({}, console=console) as table:
        for job.state in ("waiting", "running", "running", "done"):
            table.show([job])
    assert console.export_text().splitlines() == ["a: running", "a: done"]


def test_clock() -> None:
    assert [clock(seconds) for seconds in (7, 725, 10800)] == ["0:07", "12:05", "3:00:00"]


def test_engines_are_engines(tmp_path: Path) -> None:
    ours: Backend = backend("local", [], tmp_path)
    assert ours.capacity == 1
