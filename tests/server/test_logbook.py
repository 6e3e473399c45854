"""The logbook: what people write stays, as they wrote it, with who and when; and roles decide who may."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from html import unescape

import pytest

from agent.records import QcStatus
from server import logbook
from server.quality.figures import said_of
from server.settings import CollectorSettings, Settings

LOGBOOK = "/instruments/scope-1/logbook"


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def runs(sender, scope):
    made = [scope.qc(0.22, QcStatus.PASS)]
    scope.later(3600)
    made.append(scope.qc(0.31, QcStatus.FAIL))
    assert sender.send(made).json()["flagged"] == []
    return [str(one.record_id) for one in made]


def token_on(page: str) -> str:
    return re.search(r'name="form_token" value="([^"]+)"', page)[1]


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def write(browser, **more):
    said = {"work": "cleaning", "day": "2026-05-03", "title": "60x objective cleaned", "minutes": "20"}
    page = browser.get(LOGBOOK).text
    return browser.post(
        LOGBOOK, data={"form_token": token_on(page), **said, **more}, files=more.pop("files", None)
    )


def test_work_is_written_with_who_what_and_when(running, sender):
    with running.browser("ada", "operator") as browser:
        page = write(browser, text="Ether.\nTwo passes.", device="Objective", done_by="ACME <service>").text

    told = text_of(page)
    for words in ("60x objective cleaned ◆ cleaning", "2026-05-03 · Objective", "ACME <service>", "20 min"):
        assert words in told
    assert "written by ada, 2026-05-04 12:00:00 UTC" in told
    audit = running.collector.store
    with audit.reading() as reads:
        assert [(one.who, one.action) for one in reads.audit(1)] == [("ada", "logbook maintenance")]


def test_attached_file_comes_back_byte_for_byte_and_only_as_a_download(running, sender):
    content = b"<script>alert(1)</script>\x00\xff"
    with running.browser("ada", "operator") as browser:
        page = browser.get(LOGBOOK).text
        browser.post(
            LOGBOOK,
            data={"form_token": token_on(page), "work": "service", "day": "2026-05-03", "title": "yearly"},
            files=[("files", ("bericht ü.html", content, "text/html"))],
        )
        page = browser.get(LOGBOOK).text
        href = unescape(re.search(r'href="(/attachments/[^"]+)"', page)[1])
        reply = browser.get(href)

    assert reply.content == content
    assert hashlib.sha256(content).hexdigest() in href
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''bericht%20%C3%BC.html"


def test_too_large_a_file_is_refused_and_nothing_is_kept(running, sender):
    with running.browser("ada", "operator") as browser:
        page = browser.get(LOGBOOK).text
        reply = browser.post(
            LOGBOOK,
            data={"form_token": token_on(page), "work": "service", "day": "2026-05-03", "title": "yearly"},
            files=[("files", ("big.bin", bytes((10 << 20) + 1), "text/plain"))],
        )
        assert reply.status_code == 413 and "10 MiB" in reply.text
        assert "Nothing yet" in browser.get(LOGBOOK).text


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("auditor", 403), ("operator", 200), ("staff", 200)]
)
def test_who_may_write(running, sender, role, status):
    with running.browser("eve", role) as browser:
        secret = token_on(browser.get(LOGBOOK).text)
        said = {"form_token": secret, "work": "repair", "day": "2026-05-03", "title": "shutter"}
        assert browser.post(LOGBOOK, data=said).status_code == status


@pytest.mark.parametrize(
    "wrong",
    [{"title": "  "}, {"work": "party"}, {"day": "yesterday"}, {"minutes": "-1"}, {"form_token": "no"}],
)
def test_what_is_wrong_is_refused_and_not_kept(running, sender, wrong):
    with running.browser("ada", "staff") as browser:
        assert write(browser, **wrong).status_code in (400, 403)
        assert "Nothing yet" in browser.get(LOGBOOK).text


def test_run_is_signed_off_declared_invalid_and_stays(running, runs):
    with running.browser("ada", "staff") as browser:
        token = token_on(browser.get(f"/qc/{runs[0]}").text)
        browser.post(f"/qc/{runs[0]}/sign-off", data={"form_token": token, "comment": "As expected."})
        without = browser.post(f"/qc/{runs[0]}/invalidate", data={"form_token": token, "reason": " "})
        page = browser.post(f"/qc/{runs[0]}/invalidate", data={"form_token": token, "reason": "Wrong slide."})

    assert without.status_code == 400
    told = text_of(page.text)
    assert "■ invalid Wrong slide. ada, 2026-05-04 12:00:00 UTC" in told
    assert "● signed off As expected. ada" in told
    assert "Declare invalid" not in told


def test_baseline_in_force_is_the_last_one_chosen(running, runs):
    with running.browser("ada", "staff") as browser:
        token = token_on(browser.get(f"/qc/{runs[0]}").text)
        first = browser.post(f"/qc/{runs[0]}/baseline", data={"form_token": token}).text
        second = browser.post(f"/qc/{runs[1]}/baseline", data={"form_token": token}).text
        first_later = browser.get(f"/qc/{runs[0]}").text

    time_zero = "Time zero of its routine and light path"
    assert (time_zero in first, time_zero in second, time_zero in first_later) == (True, True, False)


def test_run_declared_invalid_is_no_baseline(running, runs):
    with running.browser("ada", "staff") as browser:
        token = token_on(browser.get(f"/qc/{runs[0]}").text)
        browser.post(f"/qc/{runs[0]}/baseline", data={"form_token": token})
        page = browser.post(
            f"/qc/{runs[0]}/invalidate", data={"form_token": token, "reason": "Wrong slide."}
        ).text
        refused = browser.post(f"/qc/{runs[0]}/baseline", data={"form_token": token})
    assert "Time zero of its routine" not in page and "Make it the baseline" not in page
    assert refused.status_code == 409 and "declared invalid" in refused.text
    with running.collector.store.reading() as reads:
        assert dict(said_of(reads, "scope-1").baselines) == {}


def test_operator_does_not_answer_for_runs(running, runs):
    with running.browser("ben", "operator") as browser:
        page = browser.get(f"/qc/{runs[0]}").text
        assert "Sign off" not in page
        token = token_on(page)
        assert browser.post(f"/qc/{runs[0]}/sign-off", data={"form_token": token}).status_code == 403


def test_newest_notes_come_first_and_pages_miss_none(running, sender, monkeypatch):
    monkeypatch.setattr("server.web.logbook.PAGE", 2)
    with running.browser("ada", "staff") as browser:
        for n in range(5):
            write(browser, title=f"visit {n}")
        page, seen = browser.get(LOGBOOK).text, []
        while True:
            seen += re.findall(r"visit \d", page)
            older = re.search(r'href="([^"]+\?before=\d+)"', page)
            if older is None:
                break
            page = browser.get(unescape(older[1])).text
    assert seen == [f"visit {n}" for n in reversed(range(5))]


def test_run_stays_invalid_however_many_are_declared_so_after_it(running, sender):
    def job(writes):
        note, now = logbook.Invalidation(reason="the slide was dry"), running.clock()
        for n in range(logbook.MOST_NOTES + 1):
            logbook.write(writes, note, "scope-1", "ada", now, f"run-{n}")

    running.collector.writer.do(job)
    with running.collector.store.reading() as reads:
        assert len(logbook.invalid_runs(reads, "scope-1")) == logbook.MOST_NOTES + 1


def test_notes_are_searched_by_the_days_of_the_sites_calendar(make_running):
    """Half past eleven in the evening, UTC, is the day after in Zürich: both days of an audit must find what was said on them."""
    running = make_running(Settings(collector=CollectorSettings(time_zone="Europe/Zurich")))
    running.clock.at = datetime(2026, 5, 4, 23, 30, tzinfo=UTC)
    said = logbook.SignOff(comment="all is well")
    running.collector.writer.do(
        lambda writes: logbook.write(writes, said, "scope-1", "ada", running.clock(), "run-1")
    )
    for day, n in (("2026-05-04", 0), ("2026-05-05", 1)):
        found = running.get(f"/v1/logbook?format=jsonl&since={day}&until={day}").text
        assert found.count("all is well") == n
        with running.browser() as browser:
            assert browser.get(f"/logbook?since={day}&until={day}").text.count("all is well") == n
