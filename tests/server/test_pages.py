"""Pages as HTML: what they say, and that nothing a device calls itself becomes markup."""

from __future__ import annotations

import gc
import re
from html.parser import HTMLParser

import pytest

from agent.records import (
    Cause,
    FinishReason,
    OutputFile,
    QcAdvice,
    QcInput,
    QcMetric,
    QcStatus,
    Quantity,
    Source,
)
from server.quality.runs import key_of

NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


class Markup(HTMLParser):
    """Collects elements with their attributes, and checks that they nest."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def nasty(running, tools, sender):
    """An instrument on which everything is called something nasty; returns the paths of its pages."""
    running.collector.writer.do(
        lambda writes: writes.put_instrument(
            type(writes.instrument("scope-1"))("scope-1", NASTY, NASTY, running.clock())
        )
    )
    scope = tools.Scope(sender, start_at=running.clock())
    scope.values[NASTY] = {NASTY: scope.read(NASTY, unit=NASTY)}
    acquisition = list(scope.acquisition(n_frames=5))
    file = OutputFile(path=NASTY, format=NASTY, size_bytes=1, n_files=1, sha256=NASTY)
    acquisition[-2] = acquisition[-2].model_copy(update={"problems": (NASTY,), "files": (file,)})
    lines = [scope.description(NASTY), scope.snapshot(), *acquisition, scope.event(NASTY), scope.heartbeat()]
    qc = [nasty_run(scope, acquisition[0].acquisition_id), scope.qc()]
    lines += qc
    lines.append(scope.change(NASTY, NASTY, scope.read(NASTY), Cause.DRIFTED))
    lines.append(f'{{"record_id":"{"<b>"}","kind":"<script>","schema_version":"1.0"}}'.encode())
    assert sender.send(lines).status_code == 200
    return [
        "/",
        "/?q=%22%3E%3Cscript%3E&sort=qc",
        "/?status=qc_fail&after=scope-0",
        "/acquisitions",
        "/acquisitions?q=%22%3E%3Cscript%3E&objective=%22%3E&since=2026-05-01",
        "/compare",
        "/compare?metric=%22%3E%3Cscript%3E&instrument=scope-1&path=%22",
        "/instruments/scope-1",
        "/instruments/scope-1/changes",
        "/instruments/scope-1/changes?what=%22%3E%3Cscript%3E&cause=drifted&until=2026-05-09",
        "/instruments/scope-1/changes?device=%22%3E%3Cscript%3E",
        "/instruments/scope-1/acquisitions",
        f"/acquisitions/{acquisition[0].acquisition_id}",
        f"/acquisitions/{acquisition[0].acquisition_id}?from=3",
        f"/records/{lines[1].record_id}",
        "/instruments/scope-1/qc",
        f"/instruments/scope-1/qc?series={key_of(qc[0])}",
        f"/qc/{qc[0].record_id}",
        f"/qc/{qc[1].run_id}",
        "/qc/<script>",
        "/quarantine",
        "/admin",
        "/docs",
        "/<script>",
        "/login?next=%22%3E%3Cscript%3E",
    ]


def nasty_run(scope, acquisition_id):
    """A run of quality control in which every word is nasty."""
    said = Quantity(value=NASTY, unit=NASTY, source=Source.QC, observed_at=scope.wall_at, note=NASTY)
    length = said.model_copy(update={"value": 1.5})
    metrics = (
        QcMetric(metric=NASTY, measured=said, expected=said, status=QcStatus.WARN, rule=NASTY),
        QcMetric(metric=NASTY + "x", measured=length, uncertainty=length, status=QcStatus.FAIL, rule=NASTY),
    )
    return scope.qc(
        acquisition_id=acquisition_id,
        routine=NASTY,
        routine_version=NASTY,
        light_path={NASTY: NASTY},
        metrics=metrics,
        status=QcStatus.FAIL,
        n_rejected={NASTY: 1},
        parameters={NASTY: NASTY},
        seeds={NASTY: 1},
        inputs=(QcInput(name=NASTY, sha256=NASTY),),
        remarks=(NASTY,),
        advice=(QcAdvice(finding=NASTY, check=NASTY, source=NASTY),),
        software={NASTY: NASTY},
    )


def test_nothing_a_device_says_becomes_markup_and_nothing_comes_from_elsewhere(running, nasty):
    with running.browser() as browser:
        for path in nasty:
            reply = browser.get(path)
            assert reply.status_code in (200, 404), path
            page = Markup(reply.text)
            assert page.all("img") == page.all("style") == []
            assert page.all("script") == [{"src": "/static/local_times.js", "defer": None}]
            for tag, attributes in page.elements:
                assert "style" not in attributes, (path, tag)
                assert not [name for name in attributes if name.startswith("on")], (path, tag)
                for name in ("href", "src", "action"):
                    assert re.match(r"[/#?](?!/)", attributes.get(name) or "/"), (path, tag, attributes)


def test_every_page_can_be_found_ones_way_in_by_ear(running, nasty):
    with running.browser() as browser:
        for path in nasty:
            page = Markup(browser.get(path).text)
            assert page.all("html")[0]["lang"] == "en"
            assert len(page.all("h1")) == len(page.all("main")) == 1, path
            assert len(page.all("caption")) == len(page.all("table")), path
            assert all("scope" in attributes for attributes in page.all("th")), path
            assert all("datetime" in attributes for attributes in page.all("time")), path
            named = [a for a in page.all("nav") if a.get("aria-label")]
            assert len(named) == len(page.all("nav")), path
            ids = [a["id"] for _, a in page.elements if a.get("id")]
            assert len(ids) == len(set(ids)), path


@pytest.fixture
def left_to_the_collector_of_garbage():
    """Return the names of types of ours in what only the collector of garbage would have let go of, since the last time."""

    def found() -> set[str]:
        gc.collect()
        left = {type(one) for one in gc.garbage}
        gc.garbage.clear()
        return {
            one.__qualname__ for one in left if one.__module__.split(".")[0] in ("agent", "server", "jinja2")
        }

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield found
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_page_lets_go_of_all_that_it_showed(running, nasty, left_to_the_collector_of_garbage):
    with running.browser() as browser:
        for path in nasty:
            browser.get(path)  # templates are compiled
            left_to_the_collector_of_garbage()
            browser.get(path)
            assert left_to_the_collector_of_garbage() == set(), path


def test_instrument_page_shows_how_each_value_was_obtained(running, tools, sender):
    scope = tools.Scope(sender, start_at=running.clock())
    snapshot = scope.snapshot()
    scope.later(5)
    sender.send([snapshot, scope.change("Camera", "Gain", scope.read(7))])

    with running.browser() as browser:
        page = browser.get("/instruments/scope-1").text
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())

    assert "Serial command failed: no answer from COM4" in text
    assert "Exposure 50 ms cache 2026-05-04 12:00:00 UTC" in text
    assert "Gain 7 changed cache 2026-05-04 12:00:05 UTC" in text
    assert "1 value changed since" in text


def test_change_before_the_newest_state_is_not_laid_over_it(running, tools, sender):
    scope = tools.Scope(sender, start_at=running.clock())
    change = scope.change("Camera", "Gain", scope.read(7))
    scope.later(5)
    scope.values["Camera"]["Gain"] = scope.read(9)
    sender.send([change, scope.snapshot()])

    with running.browser() as browser:
        text = " ".join(re.sub(r"<[^>]+>", " ", browser.get("/instruments/scope-1").text).split())

    assert "Gain 9 cache" in text
    assert "0 values changed since" in text


def test_running_acquisition_shows_what_has_come_so_far(running, tools, sender):
    records = list(tools.Scope(sender).acquisition(n_frames=8))
    sender.send(records[:2])

    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{records[0].acquisition_id}").text

    assert "running" in page
    assert "The end has not been received yet" in page
    assert "Frames 0 to 3" in page


@pytest.mark.parametrize("missing", ["start", "end", "all but the stamp"])
def test_acquisition_with_records_missing_still_shows(running, tools, sender, missing):
    records = list(tools.Scope(sender).acquisition(n_frames=4, reason=FinishReason.INTERRUPTED))
    kept = {"start": records[1:], "end": records[:1], "all but the stamp": records[-1:]}[missing]
    sender.send(kept)

    with running.browser() as browser:
        assert browser.get(f"/acquisitions/{records[0].acquisition_id}").status_code == 200
        assert browser.get("/instruments/scope-1").status_code == 200
        assert browser.get("/").status_code == 200


def test_frames_can_be_paged_and_keep_their_intervals(running, tools, sender):
    records = list(tools.Scope(sender).acquisition(n_frames=230))
    sender.send(records)
    seen = [
        stamp
        for record in records
        if record.kind == "frame_ledger"
        for stamp in record.columns.seen_monotonic_ns
    ]

    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{records[0].acquisition_id}?from=100").text

    assert "Frames 100 to 199" in page
    assert f"{(seen[100] - seen[99]) / 1e6:.2f}" in page
    assert "?from=200#frames" in page and "?from=0#frames" in page


def test_silent_instrument_is_told_by_word(running, tools, sender):
    sender.send([tools.Scope(sender).heartbeat()])
    running.clock.later(minutes=4)
    with running.browser() as browser:
        page = browser.get("/").text
    assert "1 silent" in page
    assert "It has missed its heartbeats." in page


def test_start_page_without_instruments_says_what_to_do(running):
    with running.browser() as browser:
        assert "No instrument yet" in browser.get("/").text


def test_page_that_is_not_there_is_a_page(running):
    with running.browser() as browser:
        reply = browser.get("/acquisitions/none")
    assert reply.status_code == 404
    assert "There is no such acquisition." in reply.text


@pytest.mark.parametrize("path", ["/nothing-here", "/instruments/nobody", "/qc/nothing"])
def test_page_that_is_not_there_says_so_in_the_viewers_language_and_leads_on(running, path):
    german = {"Accept-Language": "de"}
    with running.browser(role="viewer") as browser:
        reply = browser.get(path, headers=german)
        assert reply.status_code == 404
        assert "Hier ist nichts" in reply.text and "Adresse vertippt" in reply.text
        assert "Not Found" not in reply.text
        assert 'href="/acquisitions"' in reply.text, "who is signed in keeps the way to all other pages"
    stranger = running.client.get("/nothing-here", headers={"Accept": "text/html", **german})
    assert stranger.status_code == 404 and 'href="/acquisitions"' not in stranger.text


def test_page_that_is_not_allowed_keeps_the_way_to_the_others(running):
    with running.browser(role="viewer") as browser:
        reply = browser.get("/admin")
    assert reply.status_code == 403 and 'href="/acquisitions"' in reply.text


def test_record_is_told_to_be_of_its_instrument_by_name(running, tools, sender):
    scope = tools.Scope(sender, start_at=running.clock())
    beat = scope.heartbeat()
    assert sender.send([beat]).status_code == 200
    with running.browser(role="viewer") as browser:
        page = browser.get(f"/records/{beat.record_id}").text
    assert f'<a href="/instruments/{sender.instrument_id}">Spinning disk 2</a>' in page


def test_status_is_a_shape_and_a_word_for_vendors_too(running, tools, sender):
    scope = tools.Scope(sender, start_at=running.clock())
    assert sender.send([scope.heartbeat(hardware="down"), scope.qc(), scope.event()]).status_code == 200
    running.sender("scope-new")
    with running.browser(role="vendor") as browser:
        pages = {path: browser.get(path).text for path in ("/service", f"/service/{sender.instrument_id}")}
    shown = {path: re.findall(r'class="shape"[^>]*>(.)</span>([^<]+)', page) for path, page in pages.items()}
    assert shown["/service"] == [("●", "reporting"), ("○", "never reported")]
    assert shown[f"/service/{sender.instrument_id}"] == [
        ("●", "reporting"), ("■", "down"), ("●", "pass"), ("▲", "warning"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "empty", "nothing_found"),
    [
        ("/acquisitions", "No acquisition received yet.", "No acquisition is like that."),
        ("/logbook", "written down on its own page", "No note is like that"),
        ("/utilisation", "No instrument yet", None),
        ("/compare", "No quality-control run received yet.", None),
        ("/tasks", "Schedules that need a slide ask for it here", None),
        ("/calendar", "No instrument yet", "No instrument is like that."),
    ],
)
def test_empty_page_says_whether_nothing_is_there_or_nothing_was_found(running, path, empty, nothing_found):
    with running.browser() as browser:
        assert empty in browser.get(path).text
        if nothing_found:
            searched = browser.get(path, params={"q": "mitosis"}).text
            assert nothing_found in searched and empty not in searched


def test_form_of_a_schedule_has_its_minutes_without_idle_decimals(running):
    with running.browser() as browser:
        page = browser.get("/schedules").text
    told = dict(re.findall(r'name="(\w+)" type="number"[^>]*value="([^"]*)"', page))
    assert told["deadline_min"] == "120" and told["ask_before_h"] == "12"
    assert not any("." in value for value in told.values())
