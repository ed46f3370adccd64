"""The page holds all it needs, says what the records say, and works in a browser: by mouse, by keys, and for axe."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.commands.leaderboard import CLIPS
from benchmarks.leaderboard.html import page
from benchmarks.leaderboard.sections import section, sections
from benchmarks.records.parts import Measurement, Protocol
from benchmarks.records.record import Record, read_records
from benchmarks.runs.spec import BenchmarkSpec, Row, read_benchmarks
from benchmarks.utils.errors import UserError
from support.record_maker import make_record

GOLDEN = Path(__file__).with_name("golden")
Page = Any
Browser = Any


def golden_page() -> str:
    leaderboard = sections(read_records(GOLDEN / "results"), read_benchmarks(GOLDEN / "benchmarks"))
    published = BenchmarkSpec("printed", "Printed only", [Row("VGAN", group="MUG")], published="mode_gan#table1")
    later = BenchmarkSpec("a_name_that_is_wider_than_a_telephone_shows_in_one_line", "Later", [Row("a", "x")])
    parts = [
        section(BenchmarkSpec("rates", "Rates", []), at_rates(10, 20, 40)),
        section(published, []),
        section(later, []),
    ]
    return page([*leaderboard, *parts], CLIPS)


def at_rates(*rates: int) -> list[Record]:
    """One row asked at several frame rates: an exam each."""
    records = []
    for rate in rates:
        task = {"name": "generate", "fps": rate}
        protocol = Protocol.create(f"generate-at-{rate}", {"task": task, "n": 50, "fps": 16, "extractor_" * 9: 1})
        metrics = {"mse": Measurement(1 / rate, 50, higher_is_better=False)}
        records.append(make_record(task=task, protocol=protocol, metrics=metrics))
    return records


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = golden_page()
    assert re.findall(r"(?:src|href)=\"(?!#|data:)([^\"]*)", text) == []
    assert "default-src 'none'" in text
    assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert text == golden_page()


def test_the_asked_frame_rate_is_the_tasks() -> None:
    data = re.search(r'id="data">(.*?)</script>', golden_page(), flags=re.DOTALL)
    assert data is not None
    rates = {ranking["title"].split("-")[2]: ranking["fps"] for ranking in json.loads(data[1])["rankings"][-3:]}
    assert rates == {"10": 10, "20": 20, "40": 40}


def test_labels_cannot_leave_their_place() -> None:
    evil = make_record(
        row="</script><b onclick=alert(1)>&", metrics={"mse": Measurement(1.0, 50, higher_is_better=False)}
    )
    text = page([section(BenchmarkSpec("demo", "<i>", []), [evil])], CLIPS)
    assert "<b onclick" not in text
    assert "</script><b" not in text
    assert "<i>" not in text.replace("&lt;i&gt;", "")
    data = re.search(r'id="data">(.*?)</script>', text, flags=re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["rankings"][0]["rows"][0]["label"] == evil.row


def test_a_page_without_clips_has_no_gallery_and_a_lost_sheet_is_named(tmp_path: Path) -> None:
    assert '"galleries":[]' in page([], tmp_path)
    shutil.copy(CLIPS / "clips.json", tmp_path)
    with pytest.raises(UserError, match=r"clips\.json names .*webp, which is not there"):
        page([], tmp_path)


def test_committed_clips_are_small_and_target_comes_first() -> None:
    assert sum(path.stat().st_size for path in CLIPS.iterdir()) < 1_000_000
    for gallery in json.loads((CLIPS / "clips.json").read_text())["galleries"]:
        assert all(clip["cells"][0]["label"] == "target" for clip in gallery["clips"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the page was not tried in a browser: no playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as playwright:
        if chromium is None and not Path(playwright.chromium.executable_path).is_file():
            pytest.skip("the page was not tried in a browser: no chromium (`apt-get install chromium`)")
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("site") / "leaderboard.html"
    path.write_text(golden_page(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Page]:
    """The page, opened; afterwards it must have complained of nothing and asked nobody."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url))
    opened.goto(address)
    yield opened
    assert [words for words in complaints if words != address and not words.startswith("data:")] == []
    context.close()


SHEETS_ARE_THERE = "[...document.querySelectorAll('#gallery-cells canvas')].every(canvas => canvas.sheet.complete)"


def wait_until(tab: Page, condition: str) -> None:
    """Playwright's own waiting is refused by the page's content security policy."""
    for _ in range(200):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"in 10 s it did not come to {condition}")


def move(tab: Page, frame: int) -> None:
    """Put the slider on a frame, as a hand does."""
    tab.locator("#gallery-frame").evaluate(
        "(slider, frame) => { slider.value = frame; slider.dispatchEvent(new Event('input')); }", frame
    )


def column(tab: Page, heading: str) -> tuple[Page, list[str]]:
    """A heading of the first table, and its column's texts from top to bottom."""
    table = tab.locator("#tables table.ranking").first
    names = [re.sub(r" [▲▼]", "", name) for name in table.locator("thead th").all_inner_texts()]
    index = names.index(heading)
    cells = table.locator(f"tbody tr > :nth-child({index + 1})").all_inner_texts()
    return table.locator("thead th").nth(index), [re.split(r"[ \n]", cell.strip())[0] for cell in cells]


def test_tables_sort_by_mouse_and_keys_with_not_available_last(tab: Page) -> None:
    assert column(tab, "MSE ↓")[1] == ["0.02220", "n/a", "0.04110", "0.02000"]  # ranked by ssim, then the trivial rows
    column(tab, "MSE ↓")[0].click()
    assert column(tab, "MSE ↓")[1] == ["0.02000", "0.02220", "0.04110", "n/a"]
    heading = column(tab, "MSE ↓")[0]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert tab.locator("#tables table.ranking").first.locator("th[aria-sort]").count() == 1
    heading.focus()
    tab.keyboard.press("Enter")
    assert column(tab, "MSE ↓")[1] == ["0.04110", "0.02220", "0.02000", "n/a"]
    column(tab, "updates")[0].focus()
    tab.keyboard.press("Space")
    assert column(tab, "updates")[1] == ["0", "0", "4,000", "n/a"]


def test_tables_filter(tab: Page) -> None:
    tab.locator("#filter").fill("repeat")
    shown = tab.locator("#tables table.ranking tbody tr:visible th").all_inner_texts()
    assert shown
    assert all("Repeat" in text for text in shown)
    assert tab.locator("#filter-count").inner_text().startswith(f"{len(shown)} of ")


def test_the_gallery_plays_in_step_at_every_rate(tab: Page) -> None:
    slider, pixels = tab.locator("#gallery-frame"), "canvas => canvas.toDataURL()"
    canvases = tab.locator("#gallery-cells canvas")
    assert tab.locator("#gallery-cells figcaption").first.inner_text() == "target"
    assert canvases.count() == 4
    assert canvases.first.evaluate("canvas => canvas.classList.contains('observed')")
    wait_until(tab, SHEETS_ARE_THERE)
    before = [canvas.evaluate(pixels) for canvas in canvases.all()]
    moments: list[list[str]] = []
    for rate in ("1", "2", "4", "8"):
        tab.locator("#gallery-rate").select_option(rate)
        assert slider.get_attribute("max") == str(19 * int(rate))
        move(tab, 12 * int(rate))  # one moment is one picture, at every rate
        assert "0.600 s, predicted" in str(slider.get_attribute("aria-valuetext"))
        moments.append([canvas.evaluate(pixels) for canvas in canvases.all()])
    assert all(moment == moments[0] for moment in moments)
    assert all(old != new for old, new in zip(before[:2], moments[0][:2], strict=True))
    move(tab, 100)
    assert "0.625 s, predicted" in str(slider.get_attribute("aria-valuetext"))
    assert not canvases.first.evaluate("canvas => canvas.classList.contains('observed')")
    tab.locator("#gallery-play").click()
    wait_until(tab, "document.getElementById('gallery-frame').value != 100")
    tab.keyboard.press("Enter")  # the button still has the focus: pause
    assert tab.locator("#gallery-play").get_attribute("aria-pressed") == "false"
    stood = slider.input_value()
    tab.wait_for_timeout(200)
    assert slider.input_value() == stood
    slider.focus()
    tab.keyboard.press("Home")
    assert "frame 1 of 153, 0.000 s, observed by the models" in tab.locator("#gallery-time").inner_text()


def test_between_frames_something_new_is_seen(tab: Page) -> None:
    """At 8x, the frame between two of the 1x frames is neither of them: for the target and for the model."""
    tab.locator("#gallery-rate").select_option("8")
    seen = []
    for frame in (112, 116, 120):
        move(tab, frame)
        wait_until(tab, SHEETS_ARE_THERE)
        seen.append([canvas.evaluate("c => c.toDataURL()") for canvas in tab.locator("canvas[role=img]").all()[:2]])
    for one in range(2):
        assert len({frames[one] for frames in seen}) == 3


def test_a_plot_begins_with_a_cost_that_is_known(tab: Page) -> None:
    chosen = tab.locator("#plot-cost")
    assert chosen.evaluate("one => one.selectedOptions[0].text") == "seconds per sample"
    known = json.loads(tab.locator("#data").text_content())["rankings"][0]["rows"][0]["costs"][0]
    assert known == pytest.approx((1 / 250 + 1 / 260 + 1 / 270) / 3)
    tab.locator("#plot-ranking").select_option(label="Rates: generate-at-10-" + _hash_of(at_rates(10)[0]))
    assert chosen.evaluate("one => one.selectedOptions[0].text") == "training time (s)"


def test_plots_follow_their_controls(tab: Page) -> None:
    assert tab.locator("#plot-quality canvas").count() == tab.locator("#plot-frames canvas").count() == 1
    assert "one frame rate only" in tab.locator("#plot-rate").inner_text()
    tab.locator("#plot-metric").select_option("1")
    assert "MSE" in str(tab.locator("#plot-quality").get_attribute("aria-label"))
    before = tab.locator("#plot-frames canvas").evaluate("canvas => canvas.toDataURL()")
    tab.locator("#plot-legend button").first.press("Enter")
    assert tab.locator("#plot-legend button").first.get_attribute("aria-pressed") == "false"
    assert tab.locator("#plot-frames canvas").evaluate("canvas => canvas.toDataURL()") != before
    tab.locator("#plot-ranking").select_option(label="Rates: generate-at-10-" + _hash_of(at_rates(10)[0]))
    assert tab.locator("#plot-rate canvas").count() == 1
    assert "MSE ↓ over frames per second: Vid-ODE" in str(tab.locator("#plot-rate").get_attribute("aria-label"))
    assert "not measured for each frame" in tab.locator("#plot-frames").inner_text()


def _hash_of(record: Record) -> str:
    return record.protocol.id.rpartition("-")[2]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing(browser: Browser, address: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not here")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    opened = context.new_page()
    opened.goto(address)
    opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") == width  # tables scroll in their own boxes
    found = axe.Axe().run(opened).response["violations"]
    context.close()
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []
