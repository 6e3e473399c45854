"""Numbers on the pages are written as the page's language writes them."""

from __future__ import annotations

import re

import pytest

from server.languages import SOURCE_LANGUAGE, speak
from server.numbers import count, decimal, fixed, measured, number, size
from server.web.render import _TEMPLATES

WRITTEN = {
    "en": ("1,234,567", "1,234.5", "0.2312 ± 0.0042"),
    "de": ("1.234.567", "1.234,5", "0,2312 ± 0,0042"),
    "es": ("1.234.567", "1.234,5", "0,2312 ± 0,0042"),
    "pt": ("1.234.567", "1.234,5", "0,2312 ± 0,0042"),
    "fr": ("1\u202f234\u202f567", "1\u202f234,5", "0,2312 ± 0,0042"),
    "ja": ("1,234,567", "1,234.5", "0.2312 ± 0.0042"),
    "zh": ("1,234,567", "1,234.5", "0.2312 ± 0.0042"),
}
"""As the style guides of the languages have it; French sets a narrow space that does not break."""


@pytest.fixture(params=sorted(WRITTEN))
def language(request):
    speak(request.param)
    yield request.param
    speak(SOURCE_LANGUAGE)


def test_numbers_are_written_as_the_language_writes_them(language):
    n, hours, figure = WRITTEN[language]
    assert (count(1_234_567), fixed(1234.46), measured(0.23123, 0.0042)) == (n, hours, figure)
    assert count(999) == "999"
    mark = figure[1]
    assert (size(2_147_483_648), number(0.5), decimal("+0.2")) == (
        f"2{mark}15\xa0GB",
        f"0{mark}5",
        f"+0{mark}2",
    )


def test_plurals_have_the_number_grouped_too(language):
    text = _TEMPLATES.from_string('{{ ngettext("%(num)d run", "%(num)d runs", n) }}').render(n=1_234_567)
    assert re.findall(r"[\d.,\u202f]+", text) == [WRITTEN[language][0]]


@pytest.mark.parametrize(("accepted", "n", "offset"), [("en", "12,345", "+0.4"), ("de", "12.345", "+0,4")])
def test_page_groups_counts_and_leaves_identifiers_alone(running, tools, accepted, n, offset):
    sender = running.sender("scope-2026")
    scope = tools.Scope(sender, start_at=running.clock())
    beat = scope.heartbeat(n_overflow=12_345, clock_offset_s=0.4)
    beat = beat.model_copy(update={"spool": beat.spool.model_copy(update={"n_waiting": 12_345})})
    assert sender.send([scope.description(), beat]).status_code == 200
    with running.browser() as browser:
        page = browser.get("/instruments/scope-2026", headers={"Accept-Language": accepted}).text
    assert page.count(n) == 2  # of what waits, and of what was lost
    assert f"{offset} s" in page
    assert "<code>scope-2026</code>" in page
