"""Quality control: what the collector tells of runs it has really taken in, on pages and in the API."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from agent.records import QcMetric, QcStatus, Quantity, Source, decode
from server.alerts.book import Alert
from server.quality.runs import MOST_RUNS, standing_series
from server.web.quality import N_TOLD
from server.web.trends import WIDTH

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "qc_result.v1.0.json"
DRY = "Plan Fluor 10x"


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def runs(sender, scope):
    """Three runs on one light path, getting worse, and one on another."""
    made = []
    for fwhm_um, status in ((0.221, QcStatus.PASS), (0.27, QcStatus.WARN), (0.31, QcStatus.FAIL)):
        made.append(scope.qc(fwhm_um, status))
        scope.later(3600)
    made.append(scope.qc(0.9, QcStatus.PASS, objective=DRY))
    assert sender.send(made).json()["flagged"] == []
    return made


def text_of(running, path: str) -> str:
    with running.browser() as browser:
        reply = browser.get(path)
    assert reply.status_code == 200, reply.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", reply.text)).split())


def test_instrument_page_shows_the_latest_run_of_each_light_path(running, runs):
    text = text_of(running, "/instruments/scope-1")

    assert "PSF ■ fail Plan Apo 60x Oil · Camera · GFP 2026-05-04 14:00:00 UTC · 3 runs FWHM x" in text
    assert "FWHM x ■ fail 0.3100 ± 0.0040 µm 0.188 µm 0.224 µm at most 0.282" in text
    assert f"{DRY} · Camera · GFP" in text
    assert "0.2210 ± 0.0040" not in text


def test_instrument_without_runs_says_so(running, sender):
    assert "No quality-control run received yet." in text_of(running, "/instruments/scope-1")
    assert "No run yet" in text_of(running, "/instruments/scope-1/qc")


def test_quality_page_draws_the_values_that_its_table_holds(running, runs):
    with running.browser() as browser:
        overview = browser.get("/instruments/scope-1/qc").text
        (key,) = re.findall(r'\?series=(\w+)#trends">3 runs', overview)
        page = browser.get(f"/instruments/scope-1/qc?series={key}").text
    (line,) = re.findall(r'<polyline points="([^"]+)"', page)
    points = [tuple(map(float, pair.split(","))) for pair in line.split()]

    assert [x for x, _ in points] == [WIDTH, WIDTH / 2, 0]
    heights = [y for _, y in points]
    ticks = re.findall(r'class="tick" x="-8" y="([\d.]+)" text-anchor="end">([\d.]+)<', page)
    (y0, v0), (y1, v1) = ((float(y) - 4, float(value)) for y, value in (ticks[0], ticks[-1]))
    expected = [y0 + (v - v0) * (y1 - y0) / (v1 - v0) for v in (0.31, 0.27, 0.221)]
    assert heights == pytest.approx(expected, abs=0.2)
    for shown in ("0.3100 ± 0.0040", "0.2700 ± 0.0040", "0.2210 ± 0.0040"):
        assert shown in page
    places = [f"{x:.1f} {y:.1f}" for x, y in points]
    assert f'<path class="mark-fail" d="M{places[0]}m-5-5h10v10h-10z"><title>' in page
    assert f'<path class="mark-warn" d="M{places[1]}m0-6l6 11h-12z"><title>' in page
    cx, cy = places[2].split()
    assert f'<circle class="mark-pass" cx="{cx}" cy="{cy}" r="4"><title>' in page
    assert "upper limit 0.282" in page


@pytest.mark.parametrize("key", ["none", "0" * 12])
def test_series_that_is_not_there_is_said(running, runs, key):
    with running.browser() as browser:
        assert browser.get(f"/instruments/scope-1/qc?series={key}").status_code == 404


def test_run_page_tells_the_verdict_first_and_everything_it_rests_on(running, runs):
    text = text_of(running, f"/qc/{runs[2].record_id}")

    assert text.index("At least one figure is out of its limits") < text.index("Figures")
    for told in (
        "1 fail, 1 unknown; 7 objects or frames entered, 7 rejected.",
        "10 beads are wanted; 7 were left.",
        "0.3100 ± 0.0040 µm",
        "0.51 λ/NA, λ = 525 nm",
        "at most 1.5 x expected",
        "not measured – – – needs 10 beads",
        "Correction collar off Turn the collar and measure again. Source: Faklaris et al. 2022",
        "Rejected: too close 5",
        "fit radius µm 1.5",
        "beads_60x.ome.tiff " + "b5" * 32,
        "psf, version 1.0",
    ):
        assert told in text, told


def test_run_is_found_by_its_run_id_too(running, runs):
    by_record = text_of(running, f"/qc/{runs[0].record_id}")
    assert text_of(running, f"/qc/{str(runs[0].run_id).upper()}") == by_record


@pytest.mark.parametrize(
    "path", ["/qc/none", "/qc/7c9e6679-7425-40de-944b-e07fc1f90ae7", "/instruments/none/qc"]
)
def test_run_that_is_not_there_is_a_page(running, runs, path):
    with running.browser() as browser:
        assert browser.get(path).status_code == 404


def test_record_of_another_kind_is_no_run(running, sender, scope):
    event = scope.event()
    sender.send([event])
    with running.browser() as browser:
        assert browser.get(f"/qc/{event.record_id}").status_code == 404


def test_golden_record_is_shown(running, sender, scope):
    golden = decode(GOLDEN.read_bytes()).model_copy(update=scope.common)
    sender.send([golden])

    text = text_of(running, f"/qc/{golden.record_id}")

    assert "Plan Apo λ 60x/1.42 Oil" in text
    assert "At least one figure could not be judged" in text


@pytest.mark.parametrize("value", ["on", True, 10**400, -1.7e308])
def test_value_that_cannot_be_drawn_is_told_all_the_same(running, sender, scope, value):
    odd = QcMetric(
        metric="odd",
        measured=Quantity(value=value, source=Source.QC, observed_at=scope.wall_at),
        status=QcStatus.UNKNOWN,
        rule="none",
    )
    sender.send([scope.qc(metrics=(odd,))])

    assert "measured nothing that can be drawn" in text_of(running, "/instruments/scope-1/qc")


def test_pages_need_a_person(running, runs):
    for path in ("/instruments/scope-1/qc", f"/qc/{runs[0].record_id}"):
        reply = running.client.get(path)
        assert (reply.status_code, reply.headers["location"]) == (303, f"/login?next={path}")
    assert running.client.get("/v1/instruments/scope-1/qc").status_code == 401


def test_api_pages_through_all_runs(running, runs):
    seen, before = [], ""
    while before is not None:
        query = "?limit=3" + (f"&before={before}" if before else "")
        page = running.get(f"/v1/instruments/scope-1/qc{query}").json()
        seen += page["runs"]
        before = page["before"]

    assert [one["record_id"] for one in seen] == [str(run.record_id) for run in reversed(runs)]
    one = seen[1]
    assert (one["status"], one["routine"], one["n_rejected"]) == (
        "fail",
        "psf",
        {"saturated": 2, "too_close": 5},
    )
    assert one["figures"][0]["measured"]["value"] == 0.31
    assert running.get("/v1/instruments/none/qc").status_code == 404


def test_page_opens_at_the_series_that_an_alert_speaks_of(running, sender, scope):
    sender.send([scope.qc(0.2)])
    scope.later(3600)
    sender.send([scope.qc(0.2, objective=DRY)], spool_id="later")
    with running.collector.store.reading() as reads:
        newer, older = standing_series(reads, "scope-1")
    key = older.row.series_key
    assert _series_drawn(running) == newer.row.series_key
    alert = Alert(
        key="k", rule="out_of_control", name="Out of control", severity="warning", instrument_id="scope-1", subject="s",
        what="w", values={}, advice="a", href=f"/instruments/scope-1/qc?series={key}#trends", state="firing",
        since=running.clock(), found_at=running.clock(),
    )  # fmt: skip
    running.collector.writer.do(
        lambda writes: writes.put_document("alert", "k", alert.model_dump_json(), running.clock(), "alerts")
    )
    assert _series_drawn(running) == key


def _series_drawn(running) -> str:
    with running.browser() as browser:
        page = browser.get("/instruments/scope-1/qc").text
    return re.search(r'series=(\w+)#trends" aria-current="true"', page)[1]


@pytest.mark.parametrize("is_worst_first", [True, False])
def test_figure_that_several_rules_judge_is_filed_with_the_worst_verdict(
    running, sender, scope, is_worst_first
):
    run = scope.qc(fwhm_um=0.3)
    (lateral, axial) = run.metrics
    rules = [
        lateral.model_copy(update={"status": QcStatus.FAIL, "upper_limit": 0.282, "baseline": None}),
        lateral.model_copy(update={"status": QcStatus.PASS, "upper_limit": 0.4, "lower_limit": 0.1}),
    ]
    judged = tuple(rules if is_worst_first else reversed(rules))
    sender.send([run.model_copy(update={"metrics": (*judged, axial), "status": QcStatus.FAIL})])

    with running.collector.store.reading() as reads:
        (series,) = reads.qc_series("scope-1")
        (point,) = reads.qc_points("scope-1", series.series_key, "fwhm_x_um")
    assert (point.status, point.lower_limit, point.upper_limit) == ("fail", 0.1, 0.282)
    assert (point.value, point.expected, point.baseline) == (0.3, 0.188, 0.224)


def test_figures_beyond_a_few_are_folded_away_the_worst_are_not(running, sender, scope):
    run = scope.qc()
    some = run.metrics[0]
    metrics = [some.model_copy(update={"metric": f"figure_{i}_um"}) for i in range(8)]
    metrics.append(some.model_copy(update={"metric": "worst_um", "status": QcStatus.FAIL}))
    sender.send([run.model_copy(update={"metrics": tuple(metrics)})])

    text = text_of(running, "/instruments/scope-1/qc#trends")

    shown = text[text.index("Trends: PSF") :]
    assert shown.index("worst ■ fail") < shown.index("figure 0 ● pass") < shown.index("5 more figures")
    assert "figure 2" in shown and "figure 3" not in shown
    with running.browser() as browser:
        page = browser.get("/instruments/scope-1/qc").text
        (href,) = re.findall(r'href="([^"]+)">5 more figures', page)
        rest = browser.get("/instruments/scope-1/qc" + unescape(href)).text
    headings = [
        re.sub(r"<[^>]+>", " ", one).split() for one in re.findall(r'<h3 id="trend-\d+">(.+?)</h3>', rest)
    ]
    assert [one[:2] for one in headings] == [["figure", str(number)] for number in range(3, 7)]
    assert "1 more figure<" in rest and "First page" in rest


def test_only_the_last_runs_are_read(running, sender, scope, tools):
    lines = [scope.qc(0.2, objective=DRY)]
    for _ in range(MOST_RUNS + 2):
        scope.later(60)
        lines.append(scope.qc())
    sender.send(lines)

    text = text_of(running, "/instruments/scope-1/qc")

    assert f"{MOST_RUNS + 2} runs" in text
    assert f"Table of the newest {N_TOLD} of {MOST_RUNS} values" in text
    with running.browser() as browser:
        page = browser.get("/instruments/scope-1/qc").text
        (href,) = re.findall(r'href="([^"]+)">All values of FWHM x<', page)
        alone = browser.get("/instruments/scope-1/qc" + unescape(href)).text
    assert len(_rows_of_values(page)) == N_TOLD
    assert len(_rows_of_values(alone)) == alone.count("<title>2026") == MOST_RUNS
    assert _rows_of_values(alone)[:N_TOLD] == _rows_of_values(page)


def _rows_of_values(page: str) -> list[str]:
    table = page[page.index('<table class="tight stack">') :]
    return re.findall(r'<tr><th scope="row"><a href="(/qc/[^"]+)">', table[: table.index("</table>")])


def test_figure_that_is_not_there_is_said(running, runs):
    with running.browser() as browser:
        assert browser.get("/instruments/scope-1/qc?figure=fwhm_x_um").status_code == 200
        assert browser.get("/instruments/scope-1/qc?figure=none").status_code == 404
