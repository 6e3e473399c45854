"""Comparing series: a page of panels, drawn alike, and the others on the next."""

from __future__ import annotations

import re
from html import unescape

import pytest

from agent.records import QcStatus
from server.web.compare import PAGE

N_SERIES = PAGE + 3


@pytest.fixture
def compared(running, tools):
    """An instrument with more objectives than panels stand on a page; one of them was measured three times."""
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    lines = [scope.qc(0.2 + 0.01 * number, objective=f"Plan {number:02d}x") for number in range(N_SERIES)]
    for status in (QcStatus.WARN, QcStatus.PASS):
        scope.later(3600)
        lines.append(scope.qc(0.5, status, objective="Plan 00x"))
    assert sender.send(lines).json()["flagged"] == []
    return running


def page_of(running, path: str) -> str:
    with running.browser() as browser:
        reply = browser.get(path)
    assert reply.status_code == 200, reply.text
    return reply.text


def paths_in(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<td class="lp full">(Plan \d+x)', page)]


def test_every_series_stands_on_one_page_and_has_its_row_and_its_panel(compared):
    first = page_of(compared, "/compare?metric=fwhm_x_um&instrument=scope-1")
    (href,) = re.findall(r'href="(/compare[^"]+)">Next page', first)
    rest = page_of(compared, unescape(href))

    assert [len(paths_in(page)) for page in (first, rest)] == [PAGE, N_SERIES - PAGE]
    assert [page.count("<polyline") for page in (first, rest)] == [PAGE, N_SERIES - PAGE]
    assert sorted(paths_in(first) + paths_in(rest)) == [f"Plan {number:02d}x" for number in range(N_SERIES)]
    assert "Next page" not in rest and "First page" in rest


def test_every_figure_of_the_table_has_its_unit(compared):
    page = page_of(compared, "/compare?metric=fwhm_x_um&instrument=scope-1&path=Plan+00x")
    cells = [
        re.sub(r"<[^>]+>", "", cell)
        for cell in re.findall(r'<td class="num whole" data-label="[^"]+">(.*?)</td>', page)
    ]
    newest, expected, baseline, spread = cells
    assert all(cell.endswith(" µm") for cell in (newest, expected, baseline)) and spread == "–"


def test_legend_tells_no_values_of_one_panel_as_those_of_all(compared):
    page = page_of(compared, "/compare?metric=fwhm_x_um&instrument=scope-1")
    legend = re.findall(r'<ul class="legend small">(.*?)</ul>', page, re.DOTALL)[0]
    assert "upper limit" in legend and not re.search(r"\d", re.sub(r"<[^>]+>", "", legend))


def test_light_path_narrows_the_choice(compared):
    page = page_of(compared, "/compare?metric=fwhm_x_um&instrument=scope-1&path=plan+01X")
    assert paths_in(page) == ["Plan 01x"]
    assert "Next page" not in page


def test_panel_draws_what_strikes_and_the_newest_value(compared):
    page = page_of(compared, "/compare?metric=fwhm_x_um&instrument=scope-1&path=Plan+00x")
    (line,) = re.findall(r'<polyline points="([^"]+)"', page)

    newest, warned, first = (tuple(map(float, pair.split(","))) for pair in line.split())
    shapes = dict(re.findall(r'<path class="(mark-\w+)" d="M([^m]+)m', page))
    assert shapes == {
        "mark-pass": f"{newest[0]:.0f} {newest[1]:.0f}",
        "mark-warn": f"{warned[0]:.0f} {warned[1]:.0f}",
    }
    assert first[0] == 0 and "<title>2026" not in page
