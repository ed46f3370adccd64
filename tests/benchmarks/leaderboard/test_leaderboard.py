"""The leaderboard says what the records say, in the same bytes, and nothing more."""

import csv
import dataclasses
import hashlib
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.cli import benchmarks
from benchmarks.leaderboard.csv_latex import as_csv, as_latex
from benchmarks.leaderboard.formatting import WITHOUT_SCALE
from benchmarks.leaderboard.html import page
from benchmarks.leaderboard.markdown import markdown
from benchmarks.leaderboard.ranking import LeaderboardRow, budget_of, unbeaten
from benchmarks.leaderboard.sections import Section, section, sections
from benchmarks.records import provenance
from benchmarks.records.parts import Measurement, Protocol, Throughput
from benchmarks.records.record import Record, read_records
from benchmarks.runs.spec import BenchmarkSpec, Row, read_benchmark, read_benchmarks
from benchmarks.utils.errors import UserError
from benchmarks.utils.statistics import bootstrap_mean_interval, mean_and_half_width, t_quantile
from lightning_modules.training_cost import TrainingCost
from support.record_maker import make_record

GOLDEN = Path(__file__).with_name("golden")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(["leaderboard", *arguments])
    return int(str(caught.value.code))


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return [
        f"--results={GOLDEN / 'results'}",
        f"--benchmarks={GOLDEN / 'benchmarks'}",
        f"--output={tmp_path / 'page.md'}",
        f"--site={tmp_path / 'site'}",
    ]


def test_golden_page(options: list[str], tmp_path: Path) -> None:
    assert run(*options) == 0
    ours = (tmp_path / "page.md").read_text().replace(str(GOLDEN / "results"), "benchmarks/results")
    assert ours == (GOLDEN / "page.md").read_text()
    for name in ("leaderboard.csv", "leaderboard.tex"):
        assert (tmp_path / "site" / name).read_text() == (GOLDEN / name).read_text()


def test_second_run_changes_no_byte_and_check_knows(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["page.md", "site/leaderboard.csv", "site/leaderboard.html", "site/leaderboard.tex"]
    files = [tmp_path / name for name in names]
    assert run(*options, "--check") == 1
    assert not any(file.exists() for file in files)
    run(*options)
    first = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    assert run(*options) == 0
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == first
    assert run(*options, "--check") == 0
    for file in files:  # each alone makes the check fail
        fresh = file.read_text()
        file.write_text(fresh.replace("0.0", "0.1"))
        capsys.readouterr()
        assert run(*options, "--check") == 1
        assert f"{file} is out of date. Refresh it with `benchmarks leaderboard`" in capsys.readouterr().out
        file.write_text(fresh)
    files[2].unlink()  # what git ignores need not be there
    assert run(*options, "--check") == 0


def test_a_readme_beside_it_gets_the_tables_that_it_marks(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Ours\n\n<!-- table of demo -->\nold\n<!-- end of demo -->\n\nThe rest\n")
    assert run(*options) == 0
    text = readme.read_text()
    assert "old" not in text
    assert text.startswith("# Ours\n\n<!-- table of demo -->\n")
    assert text.endswith("<!-- end of demo -->\n\nThe rest\n")
    assert "| Vid-ODE | 0.8100 ± 0.0497 (over 3 seeds, 4 sources) | 0.02220 ± 0.00311 (over 3 seeds) ▽ | n/a |" in text
    assert "| SVG |" not in text  # was not run
    assert run(*options, "--check") == 0
    readme.write_text(text.replace("0.8100", "0.9100"))
    assert run(*options, "--check") == 1
    readme.write_text("<!-- table of dem -->\n")
    assert run(*options) == 2
    assert "Did you mean 'demo'" in capsys.readouterr().err
    readme.write_text("<!-- table of demo -->\n")
    assert run(*options) == 2
    assert "needs a line `<!-- end of demo -->`" in capsys.readouterr().err


def test_order_of_records_does_not_matter() -> None:
    records = [record(row, seed, value) for row, value in [("a", 1.0), ("b", 2.0)] for seed in range(3)]
    forward = {Path(f"{index}.json"): entry for index, entry in enumerate(records)}
    backward = {Path(f"{index}.json"): entry for index, entry in enumerate(reversed(records))}
    assert markdown(sections(forward, {})) == markdown(sections(backward, {}))


def test_tables_come_in_the_order_of_the_rows_that_sat_them() -> None:
    early, late = record("a", 0, 1.0), record("b", 0, 2.0)
    early = dataclasses.replace(early, protocol=Protocol.create("predict-5to5", {"n": 50}))
    late = dataclasses.replace(late, protocol=Protocol.create("interpolate-5to5", {"n": 50}))
    for labels, first in ((["a", "b"], early), (["b", "a"], late)):
        spec = BenchmarkSpec("balls", "Balls", [Row(label, "balls/x", [], None) for label in labels])
        assert section(spec, [early, late]).rankings[0].protocol == first.protocol


def test_different_exams_never_share_a_table() -> None:
    fresh = record("a", 0, 1.0)
    others = [
        dataclasses.replace(record("b", 0, 0.5), protocol=Protocol.create("predict-5to5", {"n": 51})),
        dataclasses.replace(record("b", 0, 0.5), data="other-data"),
        dataclasses.replace(record("b", 0, 0.5), split="val"),
    ]
    for other in others:
        page = markdown(sections({Path("a.json"): fresh, Path("b.json"): other}, {}))
        assert page.count("| row |") == 2
        assert page.count("**1.000**") == page.count("**0.5000**") == 1  # each is the best of its own table


def test_different_budgets_never_share_a_ranking() -> None:
    """But a rule that learns nothing stands in each, and a time limit counts as such, whatever it was enough for."""
    costs = {"few": (100, 10, "cpu"), "many": (200, 20, "cpu"), "many too": (200, 90, "cuda")}
    trained = [dataclasses.replace(record(row, 0, 1.0), budget=TrainingCost(*cost)) for row, cost in costs.items()]
    limited = [
        dataclasses.replace(
            record("in time", seed, 1.0),
            config={"budget": {"seconds": 60.0}},
            budget=TrainingCost(updates, 60.1, "cpu"),
        )
        for seed, updates in enumerate((70, 80))
    ]
    rule = dataclasses.replace(record("rule", 0, 0.5), parameters=0, budget=TrainingCost(125, 1, "cpu"))
    rankings = section(BenchmarkSpec("demo", "Demo", []), [*trained, *limited, rule]).rankings
    found = {ranking.budget: [row.label for row in ranking.rows] for ranking in rankings}
    assert found == {
        "100 generator updates": ["few", "rule"],
        "60 s of training on cpu": ["in time", "rule"],
        "200 generator updates": ["many", "many too", "rule"],
    }
    assert budget_of(rule) == ""


def test_groups_stand_apart() -> None:
    records = [dataclasses.replace(record("a", 0, value), group=group) for group, value in (("B", 1.0), ("A", 2.0))]
    spec = BenchmarkSpec("demo", "Demo", [Row("a", "x", group="B"), Row("a", "x", group="A")])
    rankings = section(spec, records).rankings
    assert [(ranking.group, ranking.rows[0].cell("mse").value) for ranking in rankings] == [("B", 1.0), ("A", 2.0)]
    page = markdown(sections(dict(zip(map(Path, "ab"), records, strict=True)), {"demo": spec}))
    assert page.count("**1.000**") == page.count("**2.000**") == 1


def test_published_numbers_have_columns_of_their_own_and_no_rank() -> None:
    ours = dataclasses.replace(
        make_record(row="Vid-ODE", metrics={"mse": Measurement(99.0, 50, higher_is_better=False, sources=50)}),
        group="KTH Action",
    )
    rows = [Row("Vid-ODE", "x", group="KTH Action"), Row("RCG", group="KTH Action")]
    spec = BenchmarkSpec("demo", "Demo", rows, metrics=["mse"], published="vid_ode#table2")
    page = markdown(sections({Path("a.json"): ours}, {"demo": spec}))
    assert "| row | MSE ↓ | *published SSIM* ↑ | *published LPIPS* ↓ | *published PSNR* ↑ |" in page
    assert "| Vid-ODE | **99.00** | *0.878* | *0.080* | *28.19* |" in page
    assert "| RCG | n/a <sup>1</sup> | *0.820* | *0.187* | *21.92* |" in page
    lines = list(csv.DictReader(io.StringIO(as_csv([section(spec, [ours])]))))
    theirs = [line for line in lines if line["source"] == "paper"]
    assert len(theirs) == 45
    assert not any(line["rank"] or line["best"] for line in theirs)
    assert r"Vid-ODE & \textbf{99.00} & \textit{0.878}" in as_latex([section(spec, [ours])])


def test_published_columns_stand_beside_the_metric_of_ours_that_measures_the_same() -> None:
    found = {name: Measurement(1.0, 50, higher_is_better=True) for name in ("ssim", "ssim_vid_ode", "lpips_alex")}
    ours = dataclasses.replace(make_record(row="Vid-ODE", metrics=found), group="KTH Action")
    rows = [Row("Vid-ODE", "x", group="KTH Action")]
    spec = BenchmarkSpec(
        "demo", "Demo", rows, metrics=["lpips_alex", "ssim", "ssim_vid_ode"], published="vid_ode#table2"
    )
    leaderboard = [section(spec, [ours])]
    head = "| LPIPS ↑ | *published LPIPS* ↓ | SSIM ↑ | SSIM (Vid-ODE's) ↑ | *published SSIM* ↑ | *published PSNR* ↑ |"
    assert head in markdown(leaderboard)
    assert "& LPIPS $\\uparrow$ & published LPIPS & SSIM" in as_latex(leaderboard)
    shown = page(leaderboard, Path("nowhere"))
    places = [shown.index(f">{name}") for name in ("LPIPS", "published LPIPS", "SSIM (Vid", "published SSIM")]
    assert places == sorted(places)
    lines = [line for line in csv.DictReader(io.StringIO(as_csv(leaderboard))) if line["source"] == "paper"]
    assert {(line["metric"], line["measured_by"]) for line in lines} == {
        ("ssim", "ssim_vid_ode"), ("lpips", "lpips_alex"), ("psnr", "psnr_pooled")
    }  # fmt: skip


def test_what_was_not_run_shows_what_was_published() -> None:
    spec = BenchmarkSpec("later", "Later", [Row("VGAN", group="MUG")], published="mode_gan.yaml#table1")
    page = markdown([section(spec, [])])
    assert "Not run yet" in page
    assert "| VGAN | *104.71 ≁* |" in page
    with pytest.raises(UserError, match=r"'mode_gan#table2'.*mode_gan#table1"):
        section(dataclasses.replace(spec, published="mode_gan#table2"), [])


@pytest.mark.parametrize("run", [False, True], ids=["printed only", "beside ours"])
def test_every_published_number_has_its_own_source_in_every_output(run: bool) -> None:
    """The scores along training are not the follow-up's results, in a table that holds both."""
    rows = [Row("TGAN-ODE", group="UCF101"), Row("MoCoGAN", "x", group="UCF101")]
    spec = BenchmarkSpec("later", "Later", rows, published="latent_nde#follow_up")
    found = {"mse": Measurement(1.0, 50, higher_is_better=False)}
    task = {"name": "generate"}
    ours = dataclasses.replace(make_record(row="MoCoGAN", metrics=found, task=task), group="UCF101")
    part = section(spec, [ours] if run else [])
    shown = markdown([part])
    assert re.search(r"\| TGAN-ODE \|.* \*15\.20 ≁ °\* <sup>a</sup> \|", shown)
    assert re.search(r"\| MoCoGAN \|.* \*11\.24 ≁ °\* <sup>b</sup> \| \*6\.63 ≁ °\* <sup>b</sup> \|", shown)
    assert re.search(r"<sup>a</sup> Latent .*, the follow-up, Proceedings", shown)
    assert re.search(r"<sup>b</sup> Latent .*, the inception scores along training", shown)
    assert "*published largest IS of a training* ↑ | *published mean of its last ten IS* ↑" in shown
    assert (
        "No metric of ours has the definition of the published largest IS of a training: the largest of many" in shown
    )
    web = page([part], Path("nowhere"))
    assert "11.24 ≁ ° <sup>b</sup></td>" in web
    assert re.search(r"<sup>b</sup> Latent [^<]*, the inception scores along training", web)
    lines = [line for line in csv.DictReader(io.StringIO(as_csv([part]))) if line["source"] == "reported"]
    curve = next(line for line in lines if line["row"] == "MoCoGAN" and line["metric"] == "largest_is")
    assert "the inception scores along training" in curve["note"]
    assert "none of ours: the largest of many noisy scores" in curve["note"]
    if run:  # LaTeX has tables of what was run
        latex = as_latex([part])
        assert r"\textit{11.24 $\nsim$ $^\circ$}\textsuperscript{b}" in latex
        assert r"\textsuperscript{b}Latent Neural" in latex


def test_csv_holds_every_number_in_full() -> None:
    leaderboard = sections(read_records(GOLDEN / "results"), read_benchmarks(GOLDEN / "benchmarks"))
    lines = list(csv.DictReader(io.StringIO(as_csv(leaderboard))))
    ranking = leaderboard[0].rankings[0]
    for line in lines:
        if (line["protocol"], line["budget"]) == (ranking.protocol.id, ranking.budget) and line["value"]:
            row = next(row for row in ranking.rows if row.label == line["row"])
            assert float(line["value"]) == row.cell(line["metric"]).value
    assert {line["row"] for line in lines} >= {"Repeat | last", "SVG"}


def test_latex_escapes_what_tex_would_read() -> None:
    strange = record("50 % of a_b & {c} ~ #1 \\ $x$ ^2", 0, 1.0)
    text = as_latex([section(BenchmarkSpec("demo", "Demo", []), [strange])])
    assert (
        r"50 \% of a\_b \& \{c\} \textasciitilde{} \#1 \textbackslash{} \$x\$ \textasciicircum{}2 & \textbf{1.000}"
        in text
    )


def test_a_label_in_brackets_is_no_argument_of_the_line_before() -> None:
    text = as_latex([section(BenchmarkSpec("demo", "Demo", []), [record("a", 0, 1.0), record("[b]", 0, 2.0)])])
    assert "\n{}[b] & 2.000" in text


def test_seeds_become_a_mean_with_students_interval() -> None:
    values = [1.0, 1.5, 2.5, 2.0]
    row = LeaderboardRow("a", [record("a", seed, value) for seed, value in enumerate(values)])
    ours = row.cell("mse")
    theirs = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / 4, scale=stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx(theirs, rel=1e-12)
    assert ours.value == 1.75
    assert ours.over_seeds


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 10, 99])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-10)  # SciPy 1.14 is off by 2e-11
    assert mean_and_half_width([3.0]) == (3.0, math.inf)


def test_a_benchmark_may_ask_for_the_bootstrap_over_seeds() -> None:
    values = [152.0, 149.0, 171.0, 140.0, 155.0, 160.0, 139.0, 151.0, 150.0, 148.0]
    low, high = bootstrap_mean_interval(values)
    data = (np.array(values),)
    theirs = stats.bootstrap(data, np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx(theirs, abs=0.5)
    assert bootstrap_mean_interval(values[::-1]) == (low, high)
    assert bootstrap_mean_interval([3.0]) == (-math.inf, math.inf)
    assert bootstrap_mean_interval([3.0, 3.0]) == (3.0, 3.0)
    spec = BenchmarkSpec("demo", "Demo", [Row("a", "x"), Row("b", "x")], seeds=list(range(10)), interval="bootstrap")
    records = [record("a", seed, value) for seed, value in enumerate(values)] + [record("b", 0, 1.0)]
    leaderboard = [section(spec, records)]
    assert f"| 151.5 [{low:.1f}, {high:.1f}] (over 10 seeds) |" in markdown(leaderboard)
    assert "Of several seeds: the mean and its percentile bootstrap." in markdown(leaderboard)
    assert [line["interval_over"] for line in csv.DictReader(io.StringIO(as_csv(leaderboard)))] == [
        "",
        "seeds, bootstrap",
    ]
    assert "151.5 ± " in markdown([section(dataclasses.replace(spec, interval="t"), records)])


def test_speeds_are_told_with_their_device_and_sort_as_numbers() -> None:
    paces = [12345.6, 0.123456]
    records = [make_record(row=str(pace), throughput=Throughput(pace, 50, "cpu")) for pace in paces]
    leaderboard = [section(BenchmarkSpec("demo", "Demo", []), records)]
    assert [
        text for text in ("12,346 (cpu, 50 at once)", "0.1235 (cpu, 50 at once)") if text not in markdown(leaderboard)
    ] == []
    assert '<td data-sort="12346.0">12,346 (cpu, 50 at once)</td>' in page(leaderboard, Path("nowhere"))


def test_a_missing_seed_is_said() -> None:
    gone = dataclasses.replace(
        record("a", 1, 0.0), metrics={"mse": Measurement.missing("no weights", higher_is_better=False)}
    )
    cell = LeaderboardRow("a", [record("a", 0, 1.0), gone]).cell("mse")
    assert (cell.value, cell.reason) == (1.0, "1 of 2 seeds; the others: no weights")


def test_a_record_of_another_protocol_than_the_benchmarks_is_marked() -> None:
    spec = BenchmarkSpec("demo", "Demo", [], protocol={"n": 1000})
    page = markdown(sections({Path("a.json"): record("a", 0, 1.0)}, {"demo": spec}))
    assert "**Not this benchmark's protocol**, which asks for n 1000." in page


def test_two_records_of_one_place_are_refused() -> None:
    with pytest.raises(UserError, match=r"a\.json and b\.json are records of the same"):
        sections({Path("a.json"): record("a", 0, 1.0), Path("b.json"): record("a", 0, 2.0)}, {})


def test_an_invalid_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.json").write_text("{}")
    assert run(f"--results={tmp_path}") == 2
    assert "broken.json is not a record" in capsys.readouterr().err
    for option in ("results", "benchmarks"):
        assert run(f"--results={GOLDEN / 'results'}", f"--{option}={tmp_path / 'nowhere'}") == 2
        assert f"or give --{option}" in capsys.readouterr().err
    assert run(f"--results={GOLDEN / 'results'}", f"--output={tmp_path}") == 2
    assert "--output must be a file" in capsys.readouterr().err
    assert run(f"--render={tmp_path / 'nowhere.yaml'}") == 2
    assert "nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: x", "'rows' is missing"),
        ("title: x\nrows: []", "`rows` must be a list with at least one"),
        ("title: x\nrow: []", "Unknown key 'row'. Did you mean 'rows'"),
        ("title: x\nrows: [{label: a, experimnet: b}]", "Unknown key 'experimnet'. Did you mean 'experiment'"),
        ("title: x\nrows: [{label: a, experiment: b}, {label: A, experiment: b}]", "must differ"),
        ("title: x\nkind: tabel\nrows: [{label: a, experiment: b}]", "`kind` must be table or curve"),
        (
            "title: x\nseeds: 3\nrows: [{label: a, experiment: b}]",
            "`seeds` must be a list of distinct whole numbers; got 3",
        ),
        ("title: x\ninterval: boot\nrows: [{label: a, experiment: b}]", "`interval` must be t or bootstrap"),
        ("title: x\nseeds: [0, 0]\nrows: [{label: a, experiment: b}]", "distinct whole numbers; got [0, 0]"),
        ("title: x\ntask: predict\nrows: [{label: a, experiment: b}]", "`tasks` must be a list of"),
        (
            "title: x\nper_frame: {ssim: [0]}\nrows: [{label: a, experiment: b}]",
            "`ssim` must be a list of frame numbers from 1",
        ),
        ("title: [", "is not YAML"),
        ("- a", "it holds a list"),
        ("", "it holds nothing"),
    ],
)
def test_a_wrong_plan_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"table\.yaml") as caught:
        read_benchmark(path)
    assert message in str(caught.value)


def test_the_whole_process_is_quick_and_knows_no_torch(options: list[str]) -> None:
    code = (
        "import sys, time; start = time.process_time()\n"
        "from benchmarks.cli import benchmarks\n"
        "try: benchmarks()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert time.process_time() - start < 1, time.process_time() - start\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT)}
    subprocess.run([sys.executable, "-c", code, "leaderboard", *options], check=True, env=environment)


def record(row: str, seed: int, value: float) -> Record:
    return make_record(row=row, seed=seed, metrics={"mse": Measurement(value, 50, higher_is_better=False, sources=50)})


def of_scale(values: dict[str, float], **parameters: int) -> Section:
    """A table of rows without parameters but for those given; `real` is the data's own."""
    records = [
        dataclasses.replace(record(label, 0, value), table="demo", parameters=parameters.get(label, 0))
        for label, value in values.items()
    ]
    rows = [Row(label, scale="real" if label == "real" else "") for label in values]
    return section(BenchmarkSpec("demo", "Demo", rows, metrics=["mse"]), records)


def test_a_row_that_a_trivial_row_beats_is_marked_and_trivial_rows_are_not_ranked() -> None:
    """Winds, as measured: the climatology is better than a learned row; real data are no bar to be cleared."""
    scale = {"mean of the shown": 0.00256, "climatology": 0.00215, "real": 0.0001}
    worse, better = (of_scale({"learned": own, **scale}, learned=10) for own in (0.0036, 0.002))
    ranking = worse.rankings[0]
    assert [row.label for row in ranking.rows] == ["learned", "real", "climatology", "mean of the shown"]
    assert [row.unbeaten for row in ranking.rows] == [True, False, False, False]
    assert not any(row.unbeaten for row in better.rankings[0].rows)
    assert not any(best for _, best in ranking.cells("mse"))  # what a trivial row beats is not bold
    assert [best for _, best in better.rankings[0].cells("mse")] == [True, False, False, False]
    lines = list(csv.DictReader(io.StringIO(as_csv([worse]))))
    assert [(line["rank"], line["scale"], line["unbeaten"]) for line in lines] == [
        ("1", "", "True"), ("", "real", "False"), ("", "trivial", "False"), ("", "trivial", "False"),
    ]  # fmt: skip
    assert "| learned ▽ | 0.003600 ▽" in markdown([worse])
    assert "| learned | **0.002000**" in markdown([better])
    assert r"learned$\triangledown$ &" in as_latex([worse])
    assert r"learned &" in as_latex([better])
    assert "0.003600 ▽" in page([worse], Path("no clips"))
    assert "<strong>0.002000</strong>" in page([better], Path("no clips"))


def test_a_table_without_a_trivial_row_says_so() -> None:
    alone, beside = of_scale({"learned": 1.0}, learned=10), of_scale({"learned": 1.0, "black": 2.0}, learned=10)
    for said, part in ((True, alone), (False, beside)):
        for text in (markdown([part]), as_latex([part]), page([part], Path("no clips"))):
            assert (WITHOUT_SCALE in text) is said


def test_a_column_of_the_data_has_no_mark() -> None:
    assert unbeaten([2.0, 2.0, None], ["", "trivial", ""], False) == [False, False, False]
    assert unbeaten([2.0, 1.0, 3.0], ["", "trivial", "real"], True) == [False, False, False]
    assert unbeaten([1.0, 2.0, 3.0], ["", "trivial", "real"], True) == [True, False, False]


def write_golden() -> None:
    """Handmade records: run this file to write them and the page again, then look at what changed."""
    fresh = {"code": {}, "code_sha256": hashlib.sha256().hexdigest(), "commit": "a" * 40, "dirty": False}
    common = {**fresh, "date": "2025-01-01T00:00:00+00:00", "versions": {"python": "3.11.0"}, "config": {}}
    rows = {
        "Vid-ODE": ([0.021, 0.0235, 0.0221], [0.81, 0.79, 0.83], TrainingCost(4000, 300, "CPU, 2 threads"), 51234),
        "Vid-ODE, our longer run": ([0.0212], [0.8], TrainingCost(90000, 9000, "CPU, 2 threads"), 51234),
        "Repeat | last": ([0.0411], [0.7], TrainingCost(0, 0, "none"), 0),
        "black": ([0.02], [0.5], TrainingCost(0, 0, "none"), 0),
    }
    settings = {"n": 50, "frames": 10, "fps": 25, "task": {"name": "predict", "context": 5}, "num_samples": 1}
    records = []
    for row, (errors, similarities, budget, parameters) in rows.items():
        for seed, (mse, ssim) in enumerate(zip(errors, similarities, strict=True)):
            clips = (mse * 0.98, mse * 1.02) if len(errors) == 1 else None
            metrics = {
                "mse": Measurement(mse, 50, clips, [mse, mse * 1.5], higher_is_better=False, sources=25),
                "ssim": Measurement(ssim, 50, None, [ssim, ssim - 0.1], higher_is_better=True, sources=4),
                "lpips": Measurement.missing("the AlexNet weights are not here", higher_is_better=False),
            }
            asked = make_record(
                row=row,
                seed=seed,
                metrics=metrics,
                budget=budget,
                parameters=parameters,
                function_evaluations=40.5 if parameters else None,
                protocol=Protocol.create("predict-5to5", settings),
            )
            pace = Throughput(250.0 + 10 * seed, 16, "CPU, 2 threads") if row == "Vid-ODE" else None
            records.append(dataclasses.replace(asked, **common, throughput=pace))
    stale = dataclasses.replace(records[-1], row="grey", code_sha256="0" * 64)
    other = Protocol.create("interpolate-6to5", {**settings, "task": {"name": "interpolate", "stride": 2}})
    only_budget = dataclasses.replace(records[0], protocol=other, task={"name": "interpolate", "stride": 2})
    for entry in (*records, stale, only_budget):
        entry.write(GOLDEN / "results" / "demo" / entry.file_name)
    leaderboard = sections(read_records(GOLDEN / "results"), read_benchmarks(GOLDEN / "benchmarks"))
    (GOLDEN / "page.md").write_text(markdown(leaderboard, "benchmarks/results"))
    (GOLDEN / "leaderboard.csv").write_text(as_csv(leaderboard))
    (GOLDEN / "leaderboard.tex").write_text(as_latex(leaderboard))


if __name__ == "__main__":
    write_golden()
