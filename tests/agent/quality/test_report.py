"""The report of a QC run: everything that was measured is in it, nothing that was written elsewhere can act in it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import typer
from lxml import etree
from typer.testing import CliRunner

from agent.clock import Clock
from agent.mint import Mint
from agent.quality.history import History
from agent.quality.report import Report, page, paper, report_command, report_of, write_report
from agent.quality.report.chart import HEIGHT, WIDTH, chart, ticks_over
from agent.quality.report.paper import _pictures, _trends
from agent.quality.report.sheet import Sheets
from agent.quality.report.trend import trends
from agent.quality.report.words import NO_LIMIT, shown, verdict
from agent.quality.results import qc_result
from agent.records import QcInput, QcResult, QcStatus
from agent.settings import InstrumentSettings
from qc_routines.catalogue import ROUTINES
from qc_routines.figures import shown_unit
from qc_routines.results import Figure, Measurement
from qc_routines.tolerances import read_tolerances
from qc_routines.verdict import judge

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "artefacts" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
LIGHT_PATH = {"objective": "Plan Apo 60x Oil", "camera": "Prime 95B", "channel": "GFP"}
INSTRUMENT = InstrumentSettings(
    id="sd-2", name="Spinning disk 2", site="Basel, Biozentrum", manufacturer="Nikon", model="Ti2-E"
)
NASTY = "<script>document.title='owned'</script>\"'><img src=https://evil.example/x onerror=alert(1)> {{7*7}} $\\frac{$ \x00\x1b 显微镜 🔬"
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="session")
def measurements() -> ModuleType:
    path = ROOT / "tests" / "qc_routines" / "figures" / "measurements.py"
    spec = importlib.util.spec_from_file_location("measurements_for_report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result_of(measurement: Measurement, light_path: dict[str, str] = LIGHT_PATH, **more: Any) -> QcResult:
    """Return the record of a measurement, judged by the house's limits against theory and a time zero close by."""
    routine = ROUTINES[measurement.routine]
    zero = {figure.name: 0.97 * figure.value for figure in measurement.figures if figure.value is not None}
    limits = read_tolerances(ROOT / "config" / "qc_tolerances.toml")
    verdict = judge(measurement, limits, more.pop("expected", ()), zero)
    return qc_result(Mint("sd-2", "agt-1", Clock()), routine, verdict, light_path=light_path, **more)


@pytest.fixture(scope="module")
def measured(measurements: ModuleType) -> Measurement:
    return measurements.MEASURED["psf"]()


@pytest.fixture(scope="module")
def result(measured: Measurement, measurements: ModuleType) -> QcResult:
    return result_of(measured, expected=ROUTINES["psf"].theory(measurements.OPTICS))


def earlier(result: QcResult, days: int, factor: float = 1.0, **more: Any) -> QcResult:
    """Return the same run so many days before, its values scaled."""
    fields = result.model_dump(mode="json") | {"run_id": str(uuid4()), "record_id": str(uuid4())} | more
    fields["captured"]["wall_at"] = (result.captured.wall_at - timedelta(days=days)).isoformat()
    for metric in fields["metrics"]:
        if metric["measured"]:
            metric["measured"]["value"] *= factor
    return QcResult.model_validate(fields)


@pytest.fixture
def history(result: QcResult, tmp_path: Path) -> History:
    kept = History(tmp_path / "data")
    runs = [earlier(result, 14 * k, 1 + 0.01 * (k % 4)) for k in range(9, 0, -1)]
    for run in [*runs, result]:
        kept.keep(run)
    kept.set_baseline(runs[0])
    return kept


@pytest.fixture
def report(result: QcResult, measured: Measurement, history: History) -> Report:
    return report_of(result, measured, history, INSTRUMENT)


def parsed(report: Report) -> Any:
    """Return the page as XML: strict, nothing mended, nothing fetched."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    return etree.fromstring(page(report).strip().encode(), parser)


def text_of(element: Any) -> str:
    return re.sub(r"\s+", " ", "".join(element.itertext()))


def rows(tree: Any) -> dict[str, list[Any]]:
    """Return the rows of the figures' tables by the figure's name."""
    found: dict[str, list[Any]] = {}
    for row in tree.iter(f"{XHTML}tr"):
        if row.get("class") in ("first", "again"):
            found.setdefault((row[0].text or "").strip(), []).append(row)
    return found


# ---- the page


def test_page_needs_nothing_from_elsewhere(report: Report) -> None:
    tree = parsed(report)
    for element in tree.iter(etree.Element):
        assert etree.QName(element).localname not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in element.attrib.items():
            assert not name.startswith("on"), name
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                assert value.startswith("data:image/png;base64,"), value[:80]
    style = "".join(element.text for element in tree.iter(f"{XHTML}style"))
    assert "url(" not in style and "@import" not in style
    policy = tree.find(f".//{XHTML}meta[@http-equiv]").get("content")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_page_has_every_figure_with_value_uncertainty_and_unit(report: Report, result: QcResult) -> None:
    by_name = rows(parsed(report))
    assert sum(map(len, by_name.values())) == len(result.metrics)
    from agent.quality.report.words import figure_name

    for metric in result.metrics:
        cells = [text_of(row) for row in by_name[figure_name(metric.metric)]]
        exact = [
            d.get("value") for row in by_name[figure_name(metric.metric)] for d in row.iter(f"{XHTML}data")
        ]
        if metric.measured is None:
            assert all("not measured" in words for words in cells)
            continue
        assert repr(metric.measured.value) in exact
        assert all(shown_unit(metric.measured.unit) in words for words in cells)
        if metric.uncertainty is not None:
            assert all(f"± {shown(metric.uncertainty.value, metric.uncertainty.value)}" in w for w in cells)
        for other in (metric.expected, metric.baseline):
            assert other is None or repr(other.value) in exact
        if metric.rule != NO_LIMIT:
            assert any(metric.rule in words and metric.status.value in words for words in cells)


def test_page_says_whose_when_by_what_and_from_what(report: Report, result: QcResult) -> None:
    words = text_of(parsed(report).find(f".//{XHTML}body"))
    told = [
        "Spinning disk 2", "sd-2", "Basel, Biozentrum", "Nikon Ti2-E", *LIGHT_PATH.values(), str(result.run_id),
        result.captured.wall_at.strftime("%Y-%m-%d %H:%M UTC"), *result.software.values(), *result.remarks,
        *(item.sha256 for item in result.inputs), *result.parameters, "Point spread function", "agt-1",
    ]  # fmt: skip
    for advice in result.advice:
        told += [advice.finding, advice.check, advice.source]
    assert [item for item in told if re.sub(r"\s+", " ", item) not in words] == []


def test_page_shows_the_pictures_of_the_measurement(report: Report) -> None:
    pictures = list(parsed(report).iter(f"{XHTML}img"))
    assert [picture.png is not None for picture in report.pictures] == [True] * len(pictures)
    assert len(pictures) == 5
    assert all(picture.get("alt") for picture in pictures)


def test_verdict_comes_first_and_in_words(report: Report, result: QcResult) -> None:
    body = parsed(report).find(f".//{XHTML}main")
    first = next(body.iter(f"{XHTML}section"))
    assert first.get("class") == f"verdict {result.status.value}"
    assert "figures with limits" in text_of(first)
    out = {m.metric for m in result.metrics if m.status in (QcStatus.FAIL, QcStatus.WARN)}
    assert len(list(first.iter(f"{XHTML}li"))) >= len(out)


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ("pass pass", "All of 2 figures with limits are inside the limits."),
        ("pass unknown", "1 of 2 figures with limits is inside the limits. 1 has a limit that could not be applied."),
        ("pass pass unknown", "2 of 3 figures with limits are inside the limits. 1 has a limit that could not be applied."),
        ("pass", "The one figure with a limit is inside the limits."),
    ],
)  # fmt: skip
def test_figure_whose_limit_could_not_be_applied_is_not_counted_as_inside(
    result: QcResult, statuses: str, said: str
) -> None:
    model = next(metric for metric in result.metrics if metric.rule != NO_LIMIT)
    metrics = tuple(
        model.model_copy(update={"metric": f"figure_{n}", "status": QcStatus(status)})
        for n, status in enumerate(statuses.split())
    )
    assert verdict(result.model_copy(update={"metrics": metrics, "status": QcStatus.PASS})) == said


@pytest.mark.parametrize("routine", sorted(ROUTINES))
def test_every_routine_has_a_report(measurements: ModuleType, routine: str) -> None:
    measurement = measurements.MEASURED[routine]()
    made = report_of(result_of(measurement), measurement)
    assert made.title == ROUTINES[routine].title
    assert len(rows(parsed(made))) == len({m.metric for m in made.result.metrics})
    assert all(picture.png for picture in made.pictures)


def test_strings_from_elsewhere_do_nothing(measured: Measurement, tmp_path: Path) -> None:
    hostile = replace(
        measured,
        remarks=(NASTY,),
        n_rejected={NASTY: 3},
        parameters={NASTY: NASTY},
        software={"numpy": NASTY},
    )
    result = result_of(hostile, {"camera": NASTY}, files=[QcInput(name=NASTY, sha256="0" * 64)])
    made = report_of(result, hostile, None, InstrumentSettings(name=NASTY, site=NASTY))
    tree = parsed(made)
    assert not list(tree.iter(f"{XHTML}script"))
    assert all(image.get("src").startswith("data:image/png") for image in tree.iter(f"{XHTML}img"))
    assert text_of(tree).count("{{7*7}}") >= 7
    assert "49 $" not in text_of(tree)
    assert paper(made).startswith(b"%PDF-")


# ---- what may be missing


def test_without_measurement_the_page_says_why_there_are_no_pictures(result: QcResult) -> None:
    made = report_of(result)
    assert not list(parsed(made).iter(f"{XHTML}img"))
    assert "What the pictures are drawn from was not kept with this run" in page(made)
    assert pages(paper(made)) >= 1


def test_first_run_has_no_chart_but_a_sentence(result: QcResult, tmp_path: Path) -> None:
    history = History(tmp_path)
    history.keep(result)
    made = report_of(result, history=history)
    assert made.n_runs == 1 and made.time_zero is None
    assert "A chart begins with the second." in page(made)
    assert "<svg" not in page(made)


def test_run_that_measured_nothing_says_so() -> None:
    failed = Measurement(
        routine="psf",
        version="1",
        figures=(Figure("fwhm_x", None, "um"), Figure("fwhm_z", None, "um")),
        n_used=0,
        n_rejected={"too dim": 4},
        remarks=("No beads: every candidate was left out (4 too dim).",),
    )
    made = report_of(result_of(failed), failed)
    words = text_of(parsed(made))
    assert made.verdict == "Nothing could be measured; the remarks say why."
    assert "No verdict" in words and "4 too dim" in words
    assert "Not drawn: no average psf" in words
    assert pages(paper(made)) >= 1


def test_routine_of_a_later_version_is_shown_by_its_name(result: QcResult) -> None:
    made = report_of(result.model_copy(update={"routine": "later_thing"}))
    assert made.title == "Later thing"
    parsed(made)


def test_baseline_that_is_gone_is_no_reason_to_fail(result: QcResult, tmp_path: Path) -> None:
    history = History(tmp_path)
    history.set_baseline(earlier(result, 3))
    assert report_of(result, history=history).time_zero is None


def test_no_limits_at_all_is_told(measured: Measurement) -> None:
    bare = qc_result(Mint("sd-2", "agt-1", Clock()), ROUTINES["psf"], judge(measured))
    assert {metric.rule for metric in bare.metrics} == {NO_LIMIT}
    made = report_of(bare)
    assert made.verdict == "Nobody has set a limit for what was measured."
    assert made.judged == () and len(made.trends) == 4


# ---- trends


def test_trend_has_the_runs_up_to_this_one_in_order(result: QcResult) -> None:
    runs = [earlier(result, days, 1 + days / 100) for days in (5, 20, 1, -4)]
    trend = next(t for t in trends(result, runs) if t.name == "fwhm_x")
    now = next(m.measured.value for m in result.metrics if m.metric == "fwhm_x")
    assert [point.value for point in trend.points] == pytest.approx([now * f for f in (1.2, 1.05, 1.01, 1.0)])
    assert [point.is_this for point in trend.points] == [False, False, False, True]
    assert {name for name, _ in trend.lines} == {"theory", "time zero", "highest"}


def test_trend_takes_the_tightest_limit_and_the_worst_status(result: QcResult) -> None:
    own = [metric for metric in result.metrics if metric.metric == "fwhm_z"]
    assert len(own) == 2
    changed = tuple(
        m.model_copy(update={"status": QcStatus.WARN}) if m is own[1] else m for m in result.metrics
    )
    trend = next(t for t in trends(result.model_copy(update={"metrics": changed}), []) if t.name == "fwhm_z")
    assert dict(trend.lines)["highest"] == min(metric.upper_limit for metric in own)
    assert trend.points[0].status is QcStatus.WARN


def test_trend_marks_where_the_method_changed(result: QcResult) -> None:
    runs = [
        earlier(result, 30, routine_version="0"),
        earlier(result, 20, routine_version="0"),
        earlier(result, 10),
    ]
    points = next(iter(trends(result, runs))).points
    assert [point.is_method_new for point in points] == [False, False, True, False]


def test_chart_marks_lie_where_their_values_are(result: QcResult) -> None:
    runs = [earlier(result, days, 1 + days / 200) for days in (30, 20, 10)]
    trend = next(t for t in trends(result, runs) if t.name == "fwhm_x")
    drawn = chart(trend)
    per_um = (drawn.marks[0].y - drawn.marks[-1].y) / (trend.points[0].value - trend.points[-1].value)
    for mark, point in zip(drawn.marks, trend.points, strict=True):
        expected = drawn.marks[-1].y + per_um * (point.value - trend.points[-1].value)
        assert mark.y == pytest.approx(expected, abs=0.2)
        assert drawn.left < mark.x < drawn.right and 0 < mark.y < drawn.bottom
    assert drawn.marks[0].y < drawn.marks[-1].y  # the larger value lies higher
    xs = [mark.x for mark in drawn.marks]
    assert xs[1] - xs[0] == pytest.approx(xs[3] - xs[2], abs=0.2)  # even in time
    labels = [level.label_y for level in drawn.levels]
    assert all(below - above >= 14 for above, below in pairwise(labels))
    assert all(0 <= level.y <= HEIGHT for level in drawn.levels) and drawn.right < WIDTH


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (-3, 5), (1e-9, 2e-9), (0.999, 1.001), (-1e6, 3e6), (7, 7)]
)
def test_ticks_enclose_the_span(low: float, high: float) -> None:
    ticks = ticks_over(low, high)
    assert ticks[0] <= low <= high <= ticks[-1] and 3 <= len(ticks) <= 8


def test_each_chart_stands_beside_a_table_of_its_values(report: Report) -> None:
    tree = parsed(report)
    charts = [figure for figure in tree.iter(f"{XHTML}figure") if figure.get("class") == "trend"]
    assert len(charts) == len(report.trends) > 1
    for figure, trend in zip(charts, report.trends, strict=True):
        svg = next(element for element in figure if etree.QName(element).localname == "svg")
        assert svg.get("role") == "img" and svg.get("aria-label") == trend.summary
        values = [data.get("value") for data in figure.iter(f"{XHTML}data")]
        assert values == [repr(point.value) for point in trend.points]


# ---- paper and files


def pages(pdf: bytes) -> int:
    """Return how many pages a PDF has, told by its page tree."""
    assert pdf.startswith(b"%PDF-1.") and pdf.rstrip().endswith(b"%%EOF")
    count = int(re.search(rb"/Type /Pages .*?/Count (\d+)|/Count (\d+)", pdf, re.S)[0].rsplit(b" ", 1)[1])
    assert count == len(re.findall(rb"/Type /Page\b(?!s)", pdf))
    return count


def test_paper_is_a_pdf_of_several_pages_and_reproducible(report: Report) -> None:
    first = paper(report)
    assert pages(first) >= 4
    assert first == paper(report)


class Pile:
    """Takes sheets as a PDF would, and keeps them."""

    def __init__(self) -> None:
        self.sheets: list[Any] = []

    def savefig(self, sheet: Any) -> None:
        self.sheets.append(sheet)


@pytest.mark.parametrize(("part", "heading"), [(_pictures, "What it looks like"), (_trends, "Over the runs")])
def test_heading_stands_on_the_sheet_of_its_first_figure_wherever_it_falls(
    report: Report, part: Any, heading: str
) -> None:
    one_each = replace(report, pictures=report.pictures[:1], trends=report.trends[:1])
    for filled_pt in range(0, 700, 20):
        pile = Pile()
        sheets = Sheets(pile, "foot")
        sheets.space(filled_pt)
        part(one_each, sheets)
        sheets.close()
        (with_heading,) = (
            sheet for sheet in pile.sheets if heading in [text.get_text() for text in sheet.texts]
        )
        assert with_heading.axes, filled_pt
        (axes,) = with_heading.axes
        assert axes.get_position().y0 > 0.06, "above the foot"


def test_folder_gets_both_files_and_a_name_chooses(report: Report, tmp_path: Path) -> None:
    both = write_report(report, tmp_path / "reports")
    assert [file.suffix for file in both] == [".html", ".pdf"]
    assert all(file.name.startswith("psf-2") and str(report.result.run_id)[:8] in file.name for file in both)
    (single,) = write_report(report, tmp_path / "wall.pdf")
    assert single.read_bytes().startswith(b"%PDF-")


def test_command_writes_the_report_of_a_kept_run(history: History, result: QcResult, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(report_command)
    config = tmp_path / "agent.toml"
    config.write_text('[instrument]\nname = "Confocal 3"\n')
    out = tmp_path / "report.html"
    words = [str(result.run_id)[:13], "--out", out, "--data", tmp_path / "data", "--config", config]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert (done.exit_code, done.output.strip()) == (0, str(out)), done.exception
    assert "Confocal 3" in out.read_text(encoding="utf-8")


# ---- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


def look(browser: Any, file: Path, width: int, scheme: str) -> tuple[int, bytes]:
    """Return how wide the page came out, and what it looks like from top to bottom."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(file.as_uri())
    size["height"] = browser.execute_script("return document.documentElement.scrollHeight")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser.execute_script(
        "return document.documentElement.scrollWidth"
    ), browser.get_screenshot_as_png()


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver on the PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "width"), [("desktop", 1280), ("phone", 390)])
def test_page_fits_and_is_at_peace_with_the_browser(
    browser: Any, report: Report, tmp_path: Path, size: str, width: int, scheme: str
) -> None:
    (file,) = write_report(report, tmp_path / "report.html")
    wide, picture = look(browser, file, width, scheme)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"qc-report-{size}-{scheme}.png").write_bytes(picture)
    assert wide == width
    assert browser.get_log("browser") == []
    assert ground(picture) > 200 if scheme == "light" else ground(picture) < 60
    broken = "return [...document.images].filter(i => !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def ground(png: bytes) -> float:
    """Return the mean of the first pixel of a PNG of 8 bits a channel."""
    chunks, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunks += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    return sum(zlib.decompressobj().decompress(chunks, 4)[1:4]) / 3
