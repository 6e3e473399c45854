"""The scrape: read back by Prometheus' own parser and checked by its own tool."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.records import QcStatus

PROMTOOL = shutil.which("promtool")
NASTY = 'disk "2"\\ <µ>\n'


@pytest.fixture
def scraped(running, tools):
    """A collector with one instrument that said much, and what it answers to a scrape."""
    code = running.join_code(name=NASTY)
    sender = tools.Sender(running.client, "scope-1")
    assert sender.enrol(code).status_code == 200
    scope = tools.Scope(sender, start_at=running.clock())
    sender.send([scope.heartbeat(disk_free_bytes=7_000_000_000), scope.qc(0.31, QcStatus.FAIL)])
    running.clock.later(seconds=30)
    return running


def scrape(running, accept: str = "application/openmetrics-text") -> str:
    reply = running.client.get("/metrics", headers={**running.token("vendor"), "Accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith(accept)
    return reply.text


def samples(text: str) -> dict[str, list]:
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(text)
    }


def test_scrape_tells_what_the_instrument_told(scraped):
    told = samples(scrape(scraped))

    who = {"instrument_id": "scope-1", "instrument": NASTY.strip(), "site": "Basel"}
    ((labels, up),) = told["scopestamp_instrument_up"]
    assert up == 1 and labels["site"] == "Basel" and labels["instrument"].strip() == NASTY.strip()
    assert told["scopestamp_disk_free_bytes"][0][1] == 7e9
    (series, status), *_ = told["scopestamp_qc_status"]
    assert status == 2
    assert series | who == series | {"instrument": who["instrument"]}
    assert series["light_path"] == "camera=Camera channel=GFP objective=Plan Apo 60x Oil"
    ((figure, value),) = told["scopestamp_qc_value"]
    assert (figure["figure"], figure["unit"], value) == ("fwhm_x_um", "um", 0.31)
    assert told["scopestamp_qc_age_seconds"][0][1] == pytest.approx(30)


def test_silent_instrument_is_not_up(scraped):
    scraped.clock.later(minutes=10)
    assert samples(scrape(scraped))["scopestamp_instrument_up"][0][1] == 0


def test_scrape_needs_a_token(running):
    assert running.client.get("/metrics").json()["error"] == "not_signed_in"
    reply = running.client.get("/metrics", headers=running.token("upstream"))
    assert (reply.status_code, reply.json()["error"]) == (403, "not_allowed")


def test_figures_stop_at_their_limit_and_say_so(scraped, monkeypatch):
    monkeypatch.setattr("server.api.metrics.MOST_QC_FIGURES", 0)
    told = samples(scrape(scraped))
    assert told["scopestamp_qc_value"] == []
    assert told["scopestamp_qc_figures_left_out"][0][1] == 1


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_promtool_finds_nothing_to_complain_about(scraped):
    text = scrape(scraped, "text/plain")  # the format that promtool checks
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
