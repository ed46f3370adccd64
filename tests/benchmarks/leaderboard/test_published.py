"""Published numbers are what the papers print: each is found in the lines of its own table, none is left out."""

import re
from pathlib import Path

import pytest

from benchmarks.runs.published import FOLDER, Published, read_file, read_table
from benchmarks.runs.spec import read_benchmarks
from benchmarks.utils.errors import UserError

PAPERS = Path(__file__).parents[3].parent / "shared" / "papers"
FILES = sorted(FOLDER.glob("*.yaml"))
TABLES = [(path.stem, table) for path in FILES for table in read_file(path)]

# The lines of a table in the text of its paper, what stands before and after them, and how the text reads them:
# "rows": a row's numbers of all blocks follow one another; "columns": those of a block's metric do, the last row's
# among them, or ("split") apart from them, because a rule separates it.
PLACES = {
    ("vid_ode", "table1"): ("vid_ode.txt", "provided in the supplementary material.", "Table 1: Comparison", "split"),
    ("vid_ode", "table2"): ("vid_ode.txt", "Figure 4: Video extrapolation results", "Table 2: Video", "split"),
    ("vid_ode", "table3"): ("vid_ode.txt", "results\nare reported in the supplementary", "Table 3: Video", "split"),
    ("vid_ode", "table4"): ("vid_ode.txt", "(E) + Mask composition\n\nVideo Ext", "Table 4: Performance", "columns"),
    ("vid_ode", "table5"): ("vid_ode.txt", "to improve performance of tasks.", "Table 5: Extrapolation", "split"),
    ("vid_ode", "table9"): ("vid_ode.txt", "SVG-FP\nSVG-LP\n", "Table 9: Additional", "split"),
    ("mode_gan", "table1"): ("mode_gan_supplement.txt", "Weizmann MUG UvA KTH", "Table 1: Video FID", "rows"),
    ("inbetweening", "table1"): ("inbetweening.txt", "confidence\nintervals. A lower", "Figure 2: Ex", "columns"),
    ("inbetweening", "table2"): ("inbetweening.txt", "Table 2: Diversity", "Figure 3: Output", "columns"),
    ("inbetweening", "table3"): ("inbetweening.txt", "SuperSloMo [19]\n", "Network architecture", "columns"),
}


@pytest.mark.parametrize(("file", "table"), TABLES)
def test_each_number_stands_in_the_lines_of_its_table(file: str, table: str) -> None:
    numbers = read_table(f"{file}#{table}")
    if all(number.reported for number in numbers):
        pytest.skip(f"{file}#{table} is marked `reported`: it was not read in a paper's text that we have")
    text, start, end, reading = PLACES[file, table]
    if not (PAPERS / text).is_file():
        pytest.skip(f"{text} is not here: the numbers of {file}#{table} cannot be looked up")
    theirs = tokens(lines(PAPERS / text, start, end))
    ours = [token for number in numbers for token in tokens(number.printed)]
    assert sorted(ours) == sorted(theirs)  # every number of the table, each as often as the table has it
    for run in runs(numbers, reading):  # and in its own place
        assert contains(theirs, run), f"{run} do not follow one another in {theirs}"


def lines(path: Path, start: str, end: str) -> str:
    text = path.read_text(encoding="utf-8")
    assert text.count(start) == 1, f"'{start}' comes {text.count(start)} times"
    after = text[text.index(start) + len(start) :]
    return after[: after.index(end)]


def tokens(text: str) -> list[str]:
    """The numbers of a table's cells: not those of sentences, references ([34]) or names (UCF101)."""
    cells = re.sub(r"^.*[a-z]{3,} [a-z]{2,}.*$|\[\d+\]|[A-Za-z][\w-]*", " ", text, flags=re.MULTILINE)
    return re.findall(r"\d+\.\d+|\d{3,}", cells)


def runs(numbers: list[Published], reading: str) -> list[list[str]]:
    """The numbers that must follow one another in the text."""

    def gathered(numbers: list[Published], *fields: str) -> list[list[Published]]:
        groups: dict[tuple[object, ...], list[Published]] = {}
        for number in numbers:
            groups.setdefault(tuple(getattr(number, field) for field in fields), []).append(number)
        return list(groups.values())

    if reading == "rows":
        found = gathered(numbers, "row")
    elif reading == "columns":
        found = gathered(numbers, "group", "task", "protocol", "metric")
    else:
        last = numbers[-1].row
        found = gathered([number for number in numbers if number.row != last], "group", "task", "metric")
        found += gathered([number for number in numbers if number.row == last], "group", "task")
    return [[token for number in run for token in tokens(number.printed)] for run in found]


def contains(tokens: list[str], run: list[str]) -> bool:
    return any(tokens[index : index + len(run)] == run for index in range(len(tokens) - len(run) + 1))


def test_a_table_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'vid_ode#tabel1'.*vid_ode#table1"):
        read_table("vid_ode#tabel1")
    with pytest.raises(UserError, match=r"'vid_odd'.*vid_ode"):
        read_table("vid_odd#table1")


def test_intervals_units_and_flags_are_read() -> None:
    by_row = {(number.row, number.group): number for number in read_table("inbetweening#table1")}
    full = by_row["Full model", "KTH"]
    assert (full.value, full.interval, full.printed) == (153.0, (148.0, 158.0), "153 [148, 158]")
    assert not full.higher_is_better
    assert full.comparable
    storms = [number for number in read_table("vid_ode#table5") if number.metric == "mse"]
    assert [number.value for number in storms] == pytest.approx([2.439e-3, 5.83e-4, 5.54e-4, 5.51e-4, 5.15e-4])
    assert storms[0].printed == "2.439"
    assert all(number.reported and not number.comparable for number in read_table("latent_nde#follow_up"))
    assert not any(number.comparable for number in read_table("mode_gan#table1"))


def test_definitions_are_those_of_the_papers_code() -> None:
    """Vid-ODE measures grey 8-bit pictures and pools the error; MODE-GAN names no network, so nothing of ours is it."""
    definitions = {number.metric: number.ours for number in read_table("vid_ode#table1")}
    assert definitions == {"ssim": "ssim_vid_ode", "lpips": "lpips_alex", "psnr": "psnr_pooled"}
    assert {number.ours for number in read_table("mode_gan#table1")} == {None}


def test_a_curves_largest_score_stands_with_the_mean_of_its_last_ten_and_its_own_source() -> None:
    numbers = read_table("latent_nde#follow_up")
    curve = {number.metric: number for number in numbers if number.row == "MoCoGAN"}
    assert {name: number.printed for name, number in curve.items()} == {"largest_is": "11.24", "last_ten_is": "6.63"}
    follow_up = [number for number in numbers if number.row == "TGAN-ODE"]
    assert {number.metric for number in follow_up} == {"inception_score", "fid"}
    assert not {number.source for number in follow_up} & {number.source for number in curve.values()}
    assert all(number.ours is None for number in curve.values())


def test_spellings_of_a_name_are_one() -> None:
    number = next(number for number in read_table("vid_ode#table1") if number.row == "ODE²VAE")
    assert number.belongs_to("ODE2 VAE", "KTH Action")
    assert number.belongs_to("ODE2VAE", "KTH Action, interpolation")
    assert not number.belongs_to("ODE2VAE", "Moving GIF")
    assert not number.belongs_to("ODE-FC", "KTH Action")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("paper: x", "KeyError: 'tables'"),
        (
            "paper: x\nmeasured_by: {a: mse}\n"
            "tables: {t: {location: L, metrics: {a: lower}, blocks: [{data: d, task: t, rows: {r: [no]}}]}}",
            "'no' is not a number",
        ),
        (
            "paper: p\nmeasured_by: {a: mse}\n"
            "tables: {t: {location: L, metrics: {a: lower}, blocks: [{data: d, task: t, rows: {r: [3,4]}}]}}",
            "argument 2 is longer",
        ),
        (
            "paper: p\ntables: {t: {location: L, metrics: {a: lower}, blocks: [{data: d, task: t, rows: {r: [3]}}]}}",
            "'a' of L needs our metric of the same definition in `measured_by`, or in `not_measured` the reason",
        ),
        (
            "paper: p\nmeasured_by: {a: mse}\nnot_measured: {a: it differs}\n"
            "tables: {t: {location: L, metrics: {a: lower}, blocks: [{data: d, task: t, rows: {r: [3]}}]}}",
            "it has measured_by and not_measured",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"paper\.yaml cannot be read") as caught:
        read_file(path)
    assert message in str(caught.value)


BENCHMARKS = {name: spec for name, spec in read_benchmarks(Path("configs/benchmark")).items() if spec.published}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_published_metric_stands_beside_one_of_the_benchmark(name: str) -> None:
    numbers = read_table(BENCHMARKS[name].published or "")
    assert {number.ours for number in numbers} - {None} <= set(BENCHMARKS[name].metrics)
    assert all((number.ours is None) == bool(number.not_measured) for number in numbers)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_published_row_stands_beside_one_of_the_benchmark(name: str) -> None:
    rows = [(row.label, row.group) for row in BENCHMARKS[name].rows]
    alone = {
        (number.row, number.group)
        for number in read_table(BENCHMARKS[name].published or "")
        if not any(number.belongs_to(*row) for row in rows)
    }
    assert not alone, f"{name} has no row for what {BENCHMARKS[name].published} prints: {sorted(alone)}"
