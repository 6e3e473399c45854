"""The fleet: sorted, filtered, counted and paged, held against a plain look at the same instruments."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import pytest

from agent.records import QcStatus
from server.fleet import SORTS, STATUSES, Filter, page_of
from server.logbook import Invalidation, write
from server.store.rows import Instrument

SILENT_AFTER = timedelta(minutes=3)


@pytest.fixture
def site(running, tools):
    """Six instruments, each in another plight; all told at noon, the silent one hours before."""
    start = running.clock()
    running.clock.at = start - timedelta(hours=5)
    senders = {name: running.sender(name) for name in ("silent", "fails", "warns", "passes", "busy")}
    put(running, Instrument("never", "Never seen", "Bern", start))
    places = {"silent": "Bern", "fails": "Basel", "warns": "Basel", "passes": "Basel", "busy": "Zug"}
    for name, place in places.items():
        put(running, Instrument(name, f"Scope {name}", place, start))
    scopes = {name: tools.Scope(sender, start_at=start) for name, sender in senders.items()}
    assert senders["silent"].send([scopes["silent"].heartbeat()]).status_code == 200
    running.clock.at = start
    verdicts = {"fails": QcStatus.FAIL, "warns": QcStatus.WARN, "passes": QcStatus.PASS}
    for name, status in verdicts.items():
        scope = scopes[name]
        older = [scope.qc(status=QcStatus.PASS, objective="10x"), scope.description(name)]
        scope.later(60 * (1 + list(verdicts).index(name)))
        assert senders[name].send([*older, scope.qc(status=status), scope.heartbeat()]).status_code == 200
    started = next(iter(scopes["busy"].acquisition()))
    assert senders["busy"].send([started, scopes["busy"].heartbeat()]).status_code == 200
    return running


def put(running, instrument):
    running.collector.writer.do(lambda writes: writes.put_instrument(instrument))


def put_document(running, kind, key, body):
    def job(writes):
        writes.put_document(kind, key, json.dumps(body), running.clock(), "a test")

    running.collector.writer.do(job)


def fire(running, instrument_id, severity="warning", state="firing"):
    body = {"instrument_id": instrument_id, "severity": severity, "state": state}
    put_document(running, "alert", f"rule|{instrument_id}|{severity}|{state}", body)


def page(running, sort="name", after=None, limit=50, **wanted):
    with running.collector.store.reading() as reads:
        return page_of(reads, Filter(**wanted), running.clock(), SILENT_AFTER, sort, after, limit)


def ids(page):
    return [row.glance.mark.instrument_id for row in page.rows]


def test_names_are_in_the_order_of_their_numbers_and_pages_follow_it(running):
    wanted = ["live cell 2", "Live cell 9", "Live cell 10", "Live cell 10 b", "Live cell 100", "TIRF"]
    for n, name in enumerate(sorted(wanted)):
        put(running, Instrument(f"i-{n}", name, "Basel", running.clock()))

    shown, after = [], None
    for _ in range(3):
        part = page(running, after=after, limit=2)
        shown += [row.glance.mark.name for row in part.rows]
        after = part.after
    assert shown == wanted
    with running.browser(role="viewer") as browser:
        assert (
            re.findall(r'<h2><a href="/instruments/[^"]+">([^<]+)', browser.get("/?sort=name").text) == wanted
        )


def test_each_plight_is_counted_and_found(site):
    fire(site, "passes")
    fire(site, "passes", "critical")
    fire(site, "warns", state="waiting")

    counts = page(site).counts

    assert counts == {
        "attention": 3, "alert": 1, "silent": 1, "never": 1, "qc_fail": 1, "qc_warn": 1, "qc_pass": 1, "qc_none": 3,
        "in_use": 1,
    }  # fmt: skip
    found = {status: ids(page(site, status=status)) for status in STATUSES}
    assert {status: len(members) for status, members in found.items()} == counts
    assert found["attention"] == ["fails", "passes", "silent"]
    assert (found["silent"], found["never"], found["in_use"]) == (["silent"], ["never"], ["busy"])


def test_those_in_trouble_come_first(site):
    fire(site, "passes", "critical")
    assert ids(page(site, "trouble"))[:4] == ["passes", "fails", "silent", "warns"]


def test_row_shows_the_worst_routine_first_and_what_its_agent_says(site):
    row = next(row for row in page(site).rows if row.glance.mark.instrument_id == "fails")
    assert [one.status for one in row.series] == ["fail", "pass"]
    assert row.health.heartbeat.hardware == "idle"
    assert (row.glance.model, row.glance.qc) == ("Nikon Ti2-E", "fail")


def test_verdict_of_a_run_that_is_too_old_is_said_to_be_overdue(site):
    """A microscope that passed two months ago and was not looked at since must not look healthy."""
    site.clock.later(hours=24 * 30)
    assert [row.overdue for row in page(site).rows if row.series] == [frozenset()] * 3
    site.clock.later(hours=24 * 6)
    assert [len(row.overdue) for row in page(site).rows if row.series] == [2, 2, 2]
    with site.browser() as browser:
        assert browser.get("/").text.count("</span>overdue</span>") == 6
    rule = {"key": "qc_overdue", "name": "Overdue", "is_on": False, "condition": {"of": "qc_overdue"}}
    put_document(site, "alert_rule", "qc_overdue", rule)
    assert [row.overdue for row in page(site).rows if row.series] == [frozenset()] * 3


@pytest.mark.parametrize("sort", SORTS)
def test_pages_in_every_order_miss_none_and_repeat_none(site, sort):
    whole = ids(page(site, sort))
    told, after = [], None
    while True:
        one = page(site, sort, after, limit=2)
        told += ids(one)
        after = one.after
        if after is None:
            break
    assert told == whole
    assert len(set(whole)) == 6


def test_order_by_age_of_quality_control(site):
    assert ids(page(site, "last_qc"))[-3:] == ["fails", "warns", "passes"]
    assert ids(page(site, "qc"))[:3] == ["fails", "warns", "passes"]


def test_page_goes_on_behind_an_instrument_that_the_filter_no_longer_takes(site):
    assert ids(page(site, after="passes", site="Bern")) == ["silent"]


def test_filters_are_all_kept(site):
    put_document(site, "instrument_group", "Core", ["fails", "busy"])
    put_document(site, "instrument_facts", "busy", {"model": "Home-built"})

    assert ids(page(site, group="Core", site="Basel")) == ["fails"]
    assert ids(page(site, model="Home-built")) == ["busy"]
    assert ids(page(site, text="home-BUILT")) == ["busy"]
    assert ids(page(site, text="zug")) == ["busy"]
    one = page(site, group="Core")
    assert (one.sites, one.groups) == (("Basel", "Bern", "Zug"), ("Core",))
    assert one.models == ("Home-built", "Nikon Ti2-E")
    assert (one.n_all, one.n_found) == (6, 2)


def test_acquisition_that_never_told_of_its_end_does_not_run_for_ever(site):
    site.clock.later(days=3)
    assert page(site).counts["in_use"] == 0


def text_of(reply):
    assert reply.status_code == 200, reply.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", reply.text)).split())


def test_run_declared_invalid_is_no_verdict(site):
    with site.collector.store.reading() as reads:
        (series,) = [one for one in reads.qc_series("fails") if one.status == "fail"]
    note = Invalidation(reason="wrong slide")
    site.collector.writer.do(
        lambda writes: write(writes, note, "fails", "ada", site.clock(), series.record_id)
    )
    told = page(site)
    assert told.counts["qc_fail"] == 0
    (row,) = [one for one in told.rows if one.glance.mark.instrument_id == "fails"]
    assert (row.glance.qc, [one.status for one in row.series]) == ("unknown", ["unknown", "pass"])


def test_few_instruments_stand_on_cards_and_many_in_a_table(site):
    with site.browser() as browser:
        assert '<ul class="wall">' in browser.get("/").text
        for number in range(60):
            put(site, Instrument(f"more-{number:02d}", f"More {number:02d}", "Chur", site.clock()))
        first = browser.get("/?sort=name").text
        assert "50 of 66 instruments; name" in first
        following = re.findall(r'href="(/\?[^"]*after=[^"]+)"', first)
        second = browser.get(unescape(following[0])).text
    rows = [re.findall(r'<th scope="row"><a href="/instruments/([^"]+)"', one) for one in (first, second)]
    assert [len(one) for one in rows] == [50, 16]
    assert len({*rows[0], *rows[1]}) == 66


def test_staff_name_an_instrument_and_others_do_not(site):
    told = {"name": "Renamed", "site": "Genf", "model": "Own build"}
    with site.browser("sam", "staff") as browser:
        form = browser.get("/instruments/busy").text
        token = re.search(r'name="form_token" value="([^"]+)"', form)[1]
        assert browser.post("/instruments/busy/facts", data={**told, "form_token": "x"}).status_code == 403
        text = text_of(browser.post("/instruments/busy/facts", data={**told, "form_token": token}))
        blank = browser.post("/instruments/busy/facts", data={**told, "name": " ", "form_token": token})
    assert "Renamed" in text and "Genf · Own build" in text
    assert blank.status_code == 400
    assert ids(page(site, model="Own build", site="Genf")) == ["busy"]
    with site.browser("vic", "viewer") as browser:
        assert "Name, site and model" not in browser.get("/instruments/busy").text
        assert browser.post("/instruments/busy/facts", data=told).status_code == 403
