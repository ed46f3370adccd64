"""Seeds mutations in the source and counts those that tests catch. A report for developers, not a gate.

    python tests/mutations.py --out before.json                                           # 100 mutants of this tree
    python tests/mutations.py --carry before.json --renamed names.json --out after.json   # the same ones, later

A mutant is one small slip: another operator or boundary, a constant, index or default off by one, a dropped `not`, a
`min` for a `max`, a statement removed. It is named by what survives a move or a rename: its definition, its kind, its
ordinal among those of the kind in the definition, and the statement around it. Each mutant is written into a copy of
the tree, and the tests that import its module, directly or through one other, run until one fails. Rerun the command
to resume. Docstrings, errors, annotations and options of commands are never mutated.
"""

import argparse
import ast
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutants import PACKAGES, Mutation, carried, choose, dotted, find

# what a file belongs to: the first prefix of its path that fits
AREAS = {
    "losses": ["lightning_modules/losses/"],
    "dynamics": ["lightning_modules/dynamics/"],
    "networks": ["lightning_modules/networks/"],
    "systems": ["lightning_modules/"],
    "baselines": ["baselines/"],
    "data": ["datamodules/"],
    "metrics": ["benchmarks/metrics/"],
    "tasks": ["benchmarks/evaluation/"],
    "records": ["benchmarks/records/"],
    "leaderboard": ["benchmarks/leaderboard/"],
    "commands": ["benchmarks/"],
}
NO_TESTS, FOREIGN = 5, 99  # exit codes: pytest's, and ours


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON; mutants that it holds are not run again")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="for each mutant")
    parser.add_argument("--files", type=int, default=12, help="at most so many test files for each mutant")
    parser.add_argument("--areas", type=Path, help="JSON: area -> prefixes of paths, for trees with other folders")
    parser.add_argument("--carry", type=Path, help="the output of another tree, whose mutants are made here")
    parser.add_argument("--renamed", type=Path, help="JSON: old -> new identifier, or several new ones")
    parser.add_argument("--preload", default="torch,torchvision,torchmetrics,torchdiffeq,torchsde,lightning,pytest")
    options = parser.parse_args(words)
    found = find(options.tree.resolve())
    if options.carry:
        renamed = json.loads(options.renamed.read_text()) if options.renamed else {}
        before = json.loads(options.carry.read_text())["mutants"]
        todo = [(entry["name"], carried(entry, found, renamed)) for entry in before]
    else:
        areas = json.loads(options.areas.read_text()) if options.areas else AREAS
        before, todo = [], [(m.name, m) for m in choose(found, options.count, options.seed, areas)]
    done = json.loads(options.out.read_text()) if options.out.exists() else {"broken": [], "mutants": []}
    known = {entry["name"] for entry in done["mutants"]}
    for name in options.preload.split(","):
        importlib.import_module(name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the copy is removed
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.tree.resolve(), Path(folder), options.seconds, options.files, done["broken"])
        for name, mutation in todo:
            if name in known:
                continue
            if isinstance(mutation, str):
                entry = {"name": name, "outcome": "uncarried", "reason": mutation}
            else:
                entry = {"name": name, **asdict(mutation), **bench.test(mutation)}
            done["mutants"].append(entry)
            options.out.write_text(json.dumps(done, indent=1))
            print(f"{len(done['mutants'])}/{len(todo)} {entry['outcome']}: {name}", flush=True)
    summarise(done["mutants"], before)


def summarise(mutants: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    """Prints the counts and what was not caught; a timeout decides nothing."""
    print(dict(Counter(entry["outcome"] for entry in mutants)))
    once = {entry["name"]: entry["outcome"] for entry in before}
    decided = [entry for entry in mutants if {entry["outcome"], once.get(entry["name"])} <= {"caught", "survived"}]
    if before:
        counts = [sum(once[e["name"]] == "caught" for e in decided), sum(e["outcome"] == "caught" for e in decided)]
        print(f"{len(decided)} decided in both trees: {counts[0]} caught before, {counts[1]} now")
    for entry in mutants:
        if entry["outcome"] == "uncarried":
            print(f"uncarried: {entry['name']}: {entry['reason']}")
        elif entry["outcome"] != "caught":
            lost = " (caught before)" if once.get(entry["name"]) == "caught" else ""
            print(f"{entry['outcome']}{lost}: {entry['file']}:{entry['span'][0]} {entry['before']} -> {entry['after']}")


class Bench:
    """A copy of the tree in which mutants are tested, one at a time, by forks that have imported torch already."""

    def __init__(self, tree: Path, folder: Path, seconds: float, most: int, broken: list[str]) -> None:
        self.tree, self.seconds, self.most, self.broken = folder / "tree", seconds, most, broken
        ignore = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "*.egg-info")
        shutil.copytree(tree, self.tree, ignore=ignore, symlinks=True)
        if (tree.parent / "shared").is_dir():  # where tests look for real data
            (folder / "shared").symlink_to((tree.parent / "shared").resolve())
        self.report = folder / "failed"
        self.clean: dict[str, bool] = {}
        files = [path for package in (*PACKAGES, "tests") for path in (self.tree / package).rglob("*.py")]
        self.imports = {path: imports(path) for path in files}
        os.environ |= {
            "PYTHONPATH": os.pathsep.join(map(str, (self.tree, self.tree / "tests"))),
            "OMP_NUM_THREADS": "1",
        }

    def test(self, mutation: Mutation) -> dict[str, Any]:
        """The outcome: "caught" by `test`, "survived", or "timeout" after `passed` tests."""
        path, files, began = self.tree / mutation.file, self.tests(mutation), time.monotonic()
        source, times = path.read_text(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        while True:
            files = [file for file in files if file not in self.broken]
            path.write_text(mutation.applied(source))
            outcome, failed, passed = self.run(files, mutation.file) if files else ("survived", "", 0)
            path.write_text(source)
            os.utime(path, ns=times)  # or Python would take the mutant's bytecode for this one's
            if outcome != "caught" or self.passes_clean(failed, mutation.file):
                seconds = round(time.monotonic() - began, 1)
                return {"outcome": outcome, "test": failed, "passed": passed, "files": files, "seconds": seconds}
            # what fails again cannot be left out by its name, so its file is
            self.broken.append(failed.split("::")[0] if failed in self.broken else failed)

    def passes_clean(self, test: str, file: str) -> bool:
        """Whether a test that fails with the mutant does not fail without; else it says nothing and is left out."""
        if test not in self.clean:
            self.clean[test] = self.run([test], file)[0] != "caught"
        return self.clean[test]

    def tests(self, mutation: Mutation) -> list[str]:
        """Test files that import the module, directly or through one other; first those that name the definition."""
        module = dotted(mutation.file)
        users = {name for path, names in self.imports.items() if module in names for name in aliases(path, self.tree)}
        definition = re.compile(rf"\b{re.escape(mutation.definition.split('.')[0])}\b")
        ranked = []
        for path, names in self.imports.items():
            if path.name.startswith("test_") and ({module} | users) & names:
                text = path.read_text()
                rank = (not definition.search(text), module not in names, len(text))
                ranked.append((rank, path.relative_to(self.tree).as_posix()))
        return [name for _, name in sorted(ranked)][: self.most]

    def run(self, tests: list[str], file: str) -> tuple[str, str, int]:
        """Runs tests until one fails: the outcome, the test that failed, the number of those that passed."""
        self.report.write_text("")
        child = os.fork()
        if not child:
            os._exit(self.child(tests, dotted(file)))
        deadline, code = time.monotonic() + self.seconds, None
        try:
            while code is None and time.monotonic() < deadline:
                time.sleep(0.05)
                ended, status = os.waitpid(child, os.WNOHANG)
                code = os.waitstatus_to_exitcode(status) if ended else None
        finally:
            if code is None:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if code == FOREIGN:
            sys.exit(f"The tests import {dotted(file)} from elsewhere, not from the copy of the tree in {self.tree}.")
        reports = [line.split(" ", 1) for line in self.report.read_text().splitlines()]
        failed = [test for outcome, test in reports if outcome == "failed"]
        passed = len(reports) - len(failed)
        if failed or code not in (None, 0, NO_TESTS):
            return "caught", (failed or tests)[0], passed
        return "timeout" if code is None else "survived", "", passed

    def child(self, tests: list[str], module: str) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        os.chdir(self.tree)
        log = os.open(self.report.with_name("log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.path[:0] = [str(self.tree), str(self.tree / "tests")]
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={self.report.with_name('tmp')}", "-m", "not slow"]
        options += [f"--deselect={test}" for test in self.broken]
        code = importlib.import_module("pytest").main([*options, *tests], plugins=[Reporter(self.report)])
        file = getattr(sys.modules.get(module), "__file__", None)
        return FOREIGN if file and not Path(file).is_relative_to(self.tree) else int(code)


class Reporter:
    """A plugin of pytest that writes each test's outcome into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed or report.when == "call":
            with self.path.open("a") as file:
                print(report.outcome, report.nodeid, file=file)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            with self.path.open("a") as file:
                print(report.outcome, report.nodeid, file=file)


def aliases(path: Path, tree: Path) -> set[str]:
    """How other files import this one; what tests share is found without `tests.`."""
    name = dotted(path.relative_to(tree).as_posix())
    return set() if path.name.startswith("test_") else {name, name.removeprefix("tests."), path.stem} - {"__init__"}


def imports(path: Path) -> set[str]:
    """The modules, and the names in modules, that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


if __name__ == "__main__":
    main()
