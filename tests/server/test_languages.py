"""The pages speak the viewer's language; catalogues are whole and break no placeholder."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from babel.messages.checkers import checkers

from server.web.languages import LANGUAGES, SOURCE_LANGUAGE, catalogue, speak, texts_in_source, translations
from server.web.words import ago, words

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
    assert missing == [], "run `python -m server.web.languages`, and translate these"
