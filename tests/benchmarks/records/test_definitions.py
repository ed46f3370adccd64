"""The hash of code: what leaves it alone, what changes it, and what the project's own experiments reach."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.records.definitions import Definitions
from benchmarks.records.forms import Key
from benchmarks.records.provenance import ROOT, code_of, code_of_training, record_roots

MODEL = '''"""A model."""

from dataclasses import dataclass

import math
import numpy as np
from lightning_modules.parts import Base, chain as linked, traced
from benchmarks.loggers import tell


@dataclass
class Options:
    """Options."""

    width: int = 4


class Model(Base):
    """Doubles."""

    rate: float = 0.5

    def __init__(self, options: Options, scale: float = 2.0) -> None:
        self.options, self.scale = options, scale

    @traced
    def run(self, values: list[float], *, offset: int = 1) -> list[float]:
        """Runs."""
        total = 0.0  # a comment
        for value in values:
            total = total + linked(value, step=offset)
        if total < 0:
            raise ValueError(f"negative: {total}")
        tell(total)
        return [math.sqrt(entry) * np.pi for entry in [total, self.scale] if (root := entry) > 0 and root]
'''
PARTS = """from lightning_modules import deep

LIMIT = 3


def traced(function):
    return function


class Base:
    size = 1


class Other:
    size = 1


def chain(value, step):
    def inner(amount):
        nonlocal count
        count += amount
        return count

    count = deep.leaf(value) * step
    try:
        return inner(LIMIT)
    except ZeroDivisionError as problem:
        return str(problem)


def unused():
    return 1
"""
DEEP = "def leaf(value):\n    return value + 1\n"
FILES = {
    "lightning_modules/__init__.py": "",
    "lightning_modules/model.py": MODEL,
    "lightning_modules/parts.py": PARTS,
    "lightning_modules/deep.py": DEEP,
    "benchmarks/__init__.py": "",
    "benchmarks/loggers.py": "def tell(value):\n    print(value)\n",
}
PATH = "lightning_modules.model.Model"


def digest(files: dict[str, str] = FILES, path: str = PATH) -> str:
    found = Definitions(files)
    keys = found.keys(path)
    assert keys, path
    return code_of(keys, found).sha256


def changed(*replacements: tuple[str, str]) -> dict[str, str]:
    """The files with a text replaced by another, wherever it stands."""
    files = dict(FILES)
    for old, new in replacements:
        assert any(old in text for text in files.values()), old
        files = {name: text.replace(old, new) for name, text in files.items()}
    return files


@pytest.mark.parametrize(
    "replacements",
    [
        [('"""Doubles."""', '"""Doubles, twice."""')],
        [('        """Runs."""\n', "")],
        [("  # a comment", "")],
        [("total", "summed")],
        [("value in values", "number in values"), ("linked(value", "linked(number")],
        [("root", "base")],
        [("for entry in [total", "for item in [total"), ("sqrt(entry)", "sqrt(item)"), (":= entry", ":= item")],
        [("values: list[float]", "values"), (") -> list[float]:", "):")],
        [("import math\nimport numpy as np\n", "import numpy\nimport math as m\n"), ("math.sqrt", "m.sqrt"),
         ("np.pi", "numpy.pi")],
        [("chain as linked, traced", "chain, traced"), ("linked(", "chain(")],
        [("from lightning_modules import deep", "from lightning_modules.deep import leaf"), ("deep.leaf", "leaf")],
        [("problem", "error")],
        [("count", "tally")],
        [('f"negative: {total}"', '"less than nothing"')],
        [("return 1\n", "return 2\n")],
        [("print(value)", "print(value, value)")],
        [("class Other:\n    size = 1", "class Other:\n    size = 2")],
        [("total < 0", "(\n            total < 0\n        )")],
    ],
    ids=lambda replacements: replacements[0][0][:20],
)  # fmt: skip
def test_what_cannot_change_a_number_leaves_the_hash_alone(replacements: list[tuple[str, str]]) -> None:
    assert digest(changed(*replacements)) == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = 0.0", "total = 0.1"),
        ("scale: float = 2.0", "scale: float = 3.0"),
        ("scale: float", "scale: int"),
        ("rate: float", "rate: int"),
        ("width: int", "width: float"),
        ("width: int = 4", "width: int = 5"),
        ("offset: int = 1", "offset: int = 2"),
        ("offset", "shift"),
        ("total + linked", "total - linked"),
        ("    @traced\n", ""),
        ("@dataclass", "@dataclass(frozen=True)"),
        ("class Model(Base)", "class Model"),
        ("Base, chain", "Other as Base, chain"),
        ("value + 1", "value + 2"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("self.scale", "self.factor"),
        ("nonlocal count\n", "count = 0\n"),
        ("size = 1", "size = 2"),
        ("math.sqrt", "math.exp"),
        ("import numpy as np", "import jax.numpy as np"),
        ("ZeroDivisionError", "OverflowError"),
        ("[total, self.scale]", "[self.scale, total]"),
        ("raise ValueError", "raise KeyError"),
        ("LIMIT = 3", "LIMIT = 3\nLIMIT += 1"),
        ("LIMIT = 3", "LIMIT = 3\ndeep.leaf.cache = True"),
    ],
)
def test_what_can_change_a_number_changes_the_hash(old: str, new: str) -> None:
    assert digest(changed((old, new))) != digest()


def test_a_moved_file_or_function_leaves_the_hash_alone() -> None:
    moved = changed(("lightning_modules.parts", "lightning_modules.pieces.parts"))
    moved["lightning_modules/pieces/__init__.py"] = ""
    moved["lightning_modules/pieces/parts.py"] = moved.pop("lightning_modules/parts.py")
    assert digest(moved) == digest()
    function = changed(("from lightning_modules import deep", ""), ("deep.leaf", "leaf"))
    function["lightning_modules/parts.py"] += DEEP
    assert digest(function) == digest()
    elsewhere = {**FILES, "datamodules/model.py": MODEL}
    assert digest(elsewhere, "datamodules.model.Model") == digest()


def test_two_definitions_of_one_name_are_told_apart() -> None:
    both = {
        "lightning_modules/a.py": "def f(x):\n    return x\n",
        "lightning_modules/b.py": "def f(x):\n    return -x\n",
    }
    use = "from lightning_modules.a import f\nfrom lightning_modules.b import f as g\n"
    use += "def run(x):\n    return f(x) / g(x)\n"
    swapped = use.replace("f(x) / g(x)", "g(x) / f(x)")
    path = "lightning_modules.use.run"
    assert digest({**both, "lightning_modules/use.py": use}, path) != digest(
        {**both, "lightning_modules/use.py": swapped}, path
    )


def test_circles_are_followed_wherever_they_are_entered() -> None:
    circle = "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    files = {"lightning_modules/a.py": circle}
    found, again = Definitions(files), Definitions(files)
    keys: list[Key] = [("lightning_modules.a", "even"), ("lightning_modules.a", "odd")]
    assert [found.digest(key) for key in keys] == [again.digest(key) for key in keys[::-1]][::-1]
    other = Definitions({"lightning_modules/a.py": circle.replace("n != 0", "n > 0")})
    assert all(found.digest(key) != other.digest(key) for key in keys)


@pytest.mark.parametrize(
    ("code", "renamed", "same"),
    [
        *((f"match x:\n        case {old}:\n            pass", f"match x:\n        case {new}:\n            pass", True)
          for old, new in (("{**r}", "{**q}"), ("[*s]", "[*t]"), ("int() as n", "int() as m"))),
        ("a = x\n    return a", "b = x\n    return b", True),
        ("a = x\n    return locals()", "b = x\n    return locals()", False),
        ("a = x\n    return eval('a')", "b = x\n    return eval('a')", False),
        ("a = x\n    return f'{a=}'", "b = x\n    return f'{b=}'", False),
        ("a = x\n    return f'{a}'", "b = x\n    return f'{b}'", True),
        ("global a\n    a = x", "global b\n    b = x", False),
        ("return lambda a: a", "return lambda b: b", False),
        ("return [a for a in x for b in a]", "return [b for b in x for a in b]", True),
        ("return [a for a in x for b in a]", "return [b for a in x for b in a]", False),
        ("with x as a:\n        return a", "with x as b:\n        return b", True),
        ("import os as a\n    return a.sep", "import os\n    return os.sep", True),
        ("a = b = x\n    return a - b", "a = b = x\n    return b - a", False),
        ("a, b = x\n    return a - b", "a, b = x\n    return b - a", False),
        ("return getattr(deep, 'leaf')(x)", "return getattr(deep, 'stem')(x)", False),
    ],
)  # fmt: skip
def test_names_of_locals_do_not_count_but_where_they_show(code: str, renamed: str, same: bool) -> None:
    def of(text: str) -> str:
        text = f"from lightning_modules import deep\ndef run(x):\n    {text}\n"
        return digest({"lightning_modules/a.py": text, "lightning_modules/deep.py": DEEP}, "lightning_modules.a.run")

    assert (of(code) == of(renamed)) is same


@pytest.mark.parametrize(
    "use", ["getattr(deep, name)", "vars(deep)[name]", "'lightning_modules.deep.leaf'", "deep.leaf"]
)
def test_what_is_reached_by_a_module_or_a_text_counts(use: str) -> None:
    user = f"from lightning_modules import deep\ndef run(name):\n    return {use}\n"
    one = digest({"lightning_modules/a.py": user, "lightning_modules/deep.py": DEEP}, "lightning_modules.a.run")
    other = DEEP.replace("+ 1", "+ 2")
    assert one != digest(
        {"lightning_modules/a.py": user, "lightning_modules/deep.py": other}, "lightning_modules.a.run"
    )


def test_statements_that_act_on_import_count() -> None:
    acting = {**FILES, "lightning_modules/__init__.py": "import torch\ntorch.set_default_dtype(torch.float64)\n"}
    assert digest(acting) != digest()
    assert digest({**FILES, "lightning_modules/__init__.py": "import torch\n"}) == digest()


CONFIG = {
    "model": {
        "class_path": "lightning_modules.vid_ode.VidODE",
        "init_args": {
            "generator": {
                "class_path": "lightning_modules.networks.vid_ode.VidODENetwork",
                "init_args": {"dynamics": {"class_path": "lightning_modules.dynamics.LatentODE"}},
            }
        },
    },
    "data": {"class_path": "datamodules.bouncing_balls.BouncingBalls"},
    "evaluation": {"metrics": [{"class_path": "SSIM"}], "tasks": [{"class_path": "Predict"}]},
}


def test_an_experiment_reaches_all_that_makes_its_numbers_and_nothing_that_files_them() -> None:
    found = Definitions.of_folder(ROOT)
    reached = found.reached(record_roots(CONFIG, CONFIG["model"]["class_path"], found))
    names = {name for _, name in reached}
    assert {"VidODE", "VidODENetwork", "LatentODE", "Solver", "SSIM", "structural_similarity", "Predict"} <= names
    assert {"least_squares_generator", "simulate", "BouncingBallsSource", "Evaluation", "EMAWeights"} <= names
    assert {"mean_interval", "philox", "AdversarialSystem", "split"} <= names
    assert not any(module.startswith(("benchmarks.records", "benchmarks.loggers")) for module, _ in reached)
    training = code_of_training([CONFIG], found)
    assert "lightning_modules.callbacks.budget" in training.modules
    assert not any(module.startswith("benchmarks.metrics") for module in training.modules)


def test_a_changed_default_of_a_solver_changes_the_real_hash_and_a_word_of_its_docstring_does_not() -> None:
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for name in ("lightning_modules", "datamodules")
             for path in (ROOT / name).rglob("*.py")}  # fmt: skip
    file = "lightning_modules/dynamics/ode.py"
    root = "lightning_modules.dynamics.LatentODE"
    told = re.sub(r'^class LatentODE(.*)\n    """', r'class LatentODE\1\n    """Now: ', files[file], flags=re.M)
    done = re.sub(r"order: int = 1\b", "order: int = 2", files[file])
    assert files[file] not in (told, done)
    assert digest({**files, file: told}, root) == digest(files, root) != digest({**files, file: done}, root)


def test_the_hash_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, time, json\n"
        "from benchmarks.records.provenance import code_of_record\n"
        "start = time.process_time()\n"
        f"code_of_record(json.loads({json.dumps(CONFIG)!r}), 'lightning_modules.vid_ode.VidODE')\n"
        "assert time.process_time() - start < 2, time.process_time() - start\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def test_every_python_has_the_same_hash(tmp_path: Path) -> None:
    """Each that is on this machine beside the one that runs the tests; the canonical form names no version."""
    files = json.dumps(
        FILES | {"lightning_modules/f.py": "def f(x: int):\n    return f'a{x!r:>{x}}b' 'c' f'{x}', [*x], -1, 1j\n"}
    )
    (tmp_path / "files.json").write_text(files)
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from benchmarks.records.definitions import Definitions\n"
        "found = Definitions(json.load(open('files.json')))\n"
        "print([found.digest(('lightning_modules.model', 'Model')), found.digest(('lightning_modules.f', 'f'))])\n"
    )
    mine = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    for python in PYTHONS:
        try:
            done = subprocess.run(
                [python, "-c", code, str(ROOT)], capture_output=True, text=True, cwd=tmp_path, check=False
            )
        except FileNotFoundError:
            continue
        if done.returncode != 127:  # a shim of a version manager for a version that is not there
            assert done.stdout == mine.stdout, (python, done.stderr)
