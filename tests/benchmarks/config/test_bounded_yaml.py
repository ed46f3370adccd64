"""YAML from anywhere: small things are read as ever; what explodes, recurs or is another language is one line."""

import random
from pathlib import Path

import pytest
import yaml

from benchmarks.cli import lightning
from benchmarks.config.bounded_yaml import DEPTH, BoundedYAMLError, read_yaml_text
from benchmarks.config.resolve import FILES, read_config, read_yaml, with_option
from benchmarks.runs.launchers.backends import backend
from benchmarks.utils.errors import UserError


def exploding(levels: int, each: int = 10) -> str:
    """Lists of lists of aliases: `each` to the power of `levels` values in a few hundred bytes."""
    lines = ["a0: &a0 x"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels)]
    return "\n".join(lines)


REFUSED = {
    "exploding aliases": exploding(12),
    "exploding merges": "a: &a {x: 1}\n"
    + "\n".join(f"b{n}: &a\n  <<: [{', '.join(['*a'] * 9)}]" for n in range(9)) * 40,
    "a list in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: {c: *a}}",
    "deep lists": "a: " + "[" * 100_000,
    "deep closed lists": "a: " + "[" * 900 + "]" * 900,
    "deep blocks": "- " * 50_000 + "a",
    "long": "a: " + "x" * 3_000_000,
    "a tag": "a: !!python/object/apply:os.system [true]",
    "a date that is none": "a: 2001-99-99",
    "a number of 10,000 digits": "a: " + "1" * 10_000,
    "a key that is a list": "? [1]\n: 2",
    "an alias of nothing": "a: *b",
    "two documents": "a: 1\n---\nb: 2",
    "a letter that is none": "a: \x07",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_small_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    for read in (lambda: read_yaml(tmp_path / "x.yaml"), lambda: with_option({}, f"a={text}")):
        with pytest.raises(UserError, match="is not YAML") as said:
            read()
        assert len(str(said.value).splitlines()) == 1
        assert len(str(said.value)) < 600
    with pytest.raises(UserError, match="is not YAML"):
        backend("local", [f"workers={text}"], tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfea: 1", b"a: \xe9", b"\x00\x01\x02", b""])
def test_bytes_of_another_kind_are_one_line(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError):
        read_config(path)
    with pytest.raises(SystemExit) as ended:
        lightning(["fit", "--config", str(path)])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_aliases_and_levels_of_everyday_use_are_read() -> None:
    text = "a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: [*a, *a]\n"
    assert read_yaml_text(text) == yaml.safe_load(text)
    deep = "[" * (DEPTH - 1) + "]" * (DEPTH - 1)
    assert read_yaml_text(deep) == yaml.safe_load(deep)
    assert read_yaml_text(exploding(4)) == yaml.safe_load(exploding(4))


def test_a_file_that_names_itself_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: b.yaml")
    (tmp_path / "b.yaml").write_text("init_args: {x: a.yaml}")
    with pytest.raises(UserError, match=r"names itself: a\.yaml -> b\.yaml -> a\.yaml"):
        read_config(tmp_path / "a.yaml")


def test_files_that_name_one_another_without_end_are_one_line(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"{n}.yaml").write_text(f"a: [{', '.join([f'{n + 1}.yaml'] * 10)}]")
    (tmp_path / "12.yaml").write_text("a: 1")
    with pytest.raises(UserError, match=f"at most {FILES}"):
        read_config(tmp_path / "0.yaml")
    assert read_config(tmp_path / "10.yaml")["a"][0]["a"][0] == {"a": 1}, "the count begins anew"


def test_two_hundred_mutations_of_a_config_end_in_a_value_or_one_line(tmp_path: Path) -> None:
    dice, good = random.Random(0), Path("configs/benchmark/demo.yaml").read_bytes()
    for _ in range(200):
        text = bytearray(good)
        for _ in range(dice.randint(1, 20)):
            at = dice.randrange(len(text))
            piece = dice.choice((b"*a ", b"&a ", b"[", b"}", b"\xff", b"\n", b"!!python/name:os ", b"\t", b": ", b"? "))
            text[at : at + dice.randint(0, 3)] = piece
        (tmp_path / "x.yaml").write_bytes(bytes(text))
        try:
            read_config(tmp_path / "x.yaml")
        except UserError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 (most are refused, some are still YAML)


def test_the_error_is_yamls_own() -> None:
    with pytest.raises(BoundedYAMLError, match="holds itself"):
        read_yaml_text("a: &a [*a]")
