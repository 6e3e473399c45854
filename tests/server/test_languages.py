"""The pages speak the viewer's language; catalogues are whole and break no placeholder."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.checkers import checkers

from qc_routines.catalogue import ROUTINES
from server.languages import LANGUAGES, SOURCE_LANGUAGE, catalogue, speak, texts_in_source, translations
from server.web.words import ago, words

TEMPLATES = Path(str(files("server.web"))) / "templates"
FOREIGN = sorted(set(LANGUAGES) - {SOURCE_LANGUAGE})


@pytest.fixture
def language():
    """Speak another language for one test."""
    yield speak
    speak(SOURCE_LANGUAGE)


@pytest.mark.parametrize("code", FOREIGN)
def test_catalogue_keeps_placeholders_and_markup(code):
    known = catalogue(code)
    for text in known:
        if not text.id:
            continue
        for check in checkers:
            check(known, text)
        ids = text.id if isinstance(text.id, tuple) else (text.id,)
        strings = text.string if isinstance(text.string, tuple) else (text.string,)
        for string in filter(None, strings):
            assert sorted(re.findall(r"</?\w+", string)) in [
                sorted(re.findall(r"</?\w+", one)) for one in ids
            ]


def test_page_is_in_the_language_the_browser_asks_for(running):
    with running.browser() as browser:
        page = browser.get("/", headers={"Accept-Language": "xx, de-CH;q=0.9, en;q=0.1"}).text
    assert '<html lang="de">' in page
    assert translations("de").gettext("Sign out") in page


def test_chosen_language_stays_and_wins_over_the_browsers(running):
    with running.browser() as browser:
        reply = browser.post("/language", data={"language": "ja", "next": "/admin"}, follow_redirects=False)
        assert (reply.status_code, reply.headers["location"]) == (303, "/admin")
        assert '<html lang="ja">' in browser.get("/", headers={"Accept-Language": "de"}).text


def test_language_that_is_not_there_changes_nothing(running):
    with running.browser() as browser:
        browser.post("/language", data={"language": "../../etc", "next": "//elsewhere.example"})
        assert '<html lang="en">' in browser.get("/").text


def test_words_that_come_as_data_are_translated(language):
    language("de")
    assert words("acquisition_started") == translations("de").gettext("acquisition started")
    assert words("never heard of") == "never heard of"


def test_durations_are_translated(language):
    now = datetime(2026, 5, 4, tzinfo=UTC)
    language("de")
    assert "3 Tage" in ago(now - timedelta(days=3), now)


@pytest.mark.parametrize("code", FOREIGN)
def test_catalogue_translates_every_text_there_is(code):
    known = catalogue(code)

    def is_translated(text):
        strings = known[text.id].string if text.id in known else ""
        return all(strings if isinstance(strings, tuple) else (strings,))

    missing = [text.id for text in texts_in_source() if text.id and not is_translated(text)]
    assert missing == [], "run `python -m server.languages`, and translate these"


NAMES = {"API", "CSV", "JSON", "OpenAPI", "PDF", "Scopestamp", "ZIP"}
SPOKEN = re.compile(r'\b(?:aria-label|alt|title)="([^"]*)"')
FORMS_OF_OURS = {"channels, options, properties, conditions, limits"}
"""Keys of a schedule as they are written in TOML."""


def texts_of_its_own(template: str) -> set[str]:
    """Return what a template says that no catalogue knows: text between tags and names for screen readers."""
    plain = re.sub(
        r"\{#.*?#\}|\{% trans.*?endtrans %\}|<(code|svg)\b.*?</\1>", "\0", template, flags=re.DOTALL
    )
    plain = re.sub(r"(?s)\{%-? *(?:macro|set) [^%]*=.*?%\}|\{\{.*?\}\}|\{%.*?%\}", "\0", plain)
    parts = [
        *re.split(r"\0|<[^>]*>", plain),
        *(one for found in SPOKEN.findall(plain) for one in found.split("\0")),
    ]
    said = {" ".join(part.split()) for part in parts}
    return {part for part in said if re.search(r"[A-Za-z]{3}", part) and not part.startswith("/")}


@pytest.mark.parametrize(
    "name", sorted(path.name for path in TEMPLATES.iterdir() if path.name != "reference.html")
)
def test_template_holds_no_text_that_no_catalogue_knows(name):
    """The reference of the API alone is for programs' authors, in English."""
    assert texts_of_its_own((TEMPLATES / name).read_text("utf-8")) - NAMES - FORMS_OF_OURS == set()


def test_text_of_its_own_would_be_found():
    own = '<h2 class="x">{{ _("Known") }} Unknown</h2><p aria-label="Spoken {{ n }}">{% trans %}Fine{% endtrans %}</p>'
    assert texts_of_its_own(own) == {"Unknown", "Spoken"}


SCROLLS_ON_A_PHONE = {"acquisition.html": 1, "calendar.html": 1}
"""Tables that do not stack there: the frames, ten numbers each, and the week, which has a way of its own."""


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.iterdir()))
def test_tables_stack_on_a_phone_and_say_what_each_cell_is(name):
    text = (TEMPLATES / name).read_text("utf-8")
    tables = re.findall(r"<table[^>]*>.*?</table>", text, re.DOTALL)
    stacked = [table for table in tables if re.match(r'<table class="[^"]*\bstack\b', table)]
    assert len(tables) - len(stacked) == SCROLLS_ON_A_PHONE.get(name, 0)
    for cell in (cell for table in stacked for cell in re.findall(r"<td[^>]*>", table)):
        assert "data-label=" in cell or "full" in cell or "colspan" in cell, cell


@pytest.mark.parametrize(
    ("code", "said"), [("de", "vor 3 Tagen"), ("fr", "il y a 3 jours"), ("ja", "3 日前")]
)
def test_days_ago_have_the_case_of_the_language(language, code, said):
    now = datetime(2026, 5, 4, tzinfo=UTC)
    language(code)
    assert ago(now - timedelta(days=3), now) == said


@pytest.mark.parametrize("code", FOREIGN)
def test_every_routine_has_a_name(code):
    """They come as data; the collector itself knows no routine."""
    known = catalogue(code)
    names = {routine.replace("_", " ") for routine in ROUTINES if routine != "psf"}
    assert {name for name in names if name not in known} == set()
