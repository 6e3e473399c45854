"""What people say of runs at the collector holds on the instrument's PC: fetched by the agent, kept in its history."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.clock import Clock
from agent.outbox.collector import Collector as AgentsCollector
from agent.outbox.identity import Identity
from agent.quality.history import History
from agent.quality.schedule.fetch import Fetcher
from agent.records import QcStatus


def identity_of(sender, folder) -> Identity:
    """Return the identity that signs as the enrolled sender."""
    path = folder / "agent.key"
    path.write_bytes(sender.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Identity(folder, sender.agent_id, sender.instrument_id)


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def runs(running, sender, tools):
    scope = tools.Scope(sender, start_at=running.clock())
    made = []
    for fwhm_um in (0.22, 0.23, 0.31):
        made.append(scope.qc(fwhm_um, QcStatus.PASS))
        scope.later(3600)
    assert sender.send(made).json()["flagged"] == []
    return made


@pytest.fixture
def history(tmp_path, runs):
    kept = History(tmp_path / "data")
    for run in runs:
        kept.keep(run)
    return kept


@pytest.fixture
def fetch(running, sender, tmp_path, history):
    """The agent's own fetcher; every call is a minute later."""
    client = AgentsCollector(running.url, identity_of(sender, tmp_path), clock=Clock())
    minutes = count()
    fetcher = Fetcher(
        client.schedules, tmp_path / "schedule", 60.0, lambda: 60.0 * next(minutes), history.heed
    )

    def ask():
        fetcher.fetch_if_due()
        assert fetcher.last_error == ""

    yield ask
    client.close()


def say(running, what, run, **form):
    with running.browser(role="staff") as browser:
        page = browser.get(f"/qc/{run.record_id}").text
        token = re.search(r'name="form_token" value="([^"]+)"', page)[1]
        reply = browser.post(f"/qc/{run.record_id}/{what}", data={"form_token": token, **form})
    assert reply.status_code == 200, reply.text


def counting(history, runs):
    told, problems = history.before(runs[-1].captured.wall_at + timedelta(days=1))
    assert problems == []
    return [run.run_id for run in told]


def test_run_declared_invalid_at_the_collector_counts_no_more_and_stays(running, fetch, history, runs):
    fetch()
    assert counting(history, runs) == [run.run_id for run in runs]
    say(running, "invalidate", runs[1], reason="Wrong slide.")
    fetch()
    assert counting(history, runs) == [runs[0].run_id, runs[2].run_id]
    assert "Wrong slide." in history.invalid()[str(runs[1].run_id)]
    assert history.runs(runs[0].routine) == runs
    fetch()  # nothing new
    assert counting(history, runs) == [runs[0].run_id, runs[2].run_id]


def test_what_was_said_at_the_pc_stays_beside_it(running, fetch, history, runs):
    history.invalidate(runs[2], "lamp was cold", Clock().wall_at())
    say(running, "invalidate", runs[1], reason="Wrong slide.")
    fetch()
    assert counting(history, runs) == [runs[0].run_id]


def test_time_zero_is_the_last_choice_wherever_it_was_made(running, fetch, history, runs):
    first, second, third = runs
    path = (first.routine, first.light_path)
    history.set_baseline(third, running.clock() - timedelta(days=1))
    say(running, "baseline", first)
    fetch()
    assert history.baseline(*path) == first
    history.set_baseline(second, running.clock() + timedelta(days=1))
    assert history.baseline(*path) == second


def test_time_zero_that_is_invalid_or_not_on_this_pc_is_none(running, fetch, history, runs, tmp_path):
    path = (runs[0].routine, runs[0].light_path)
    say(running, "baseline", runs[0])
    fetch()
    (kept,) = (tmp_path / "data").rglob(f"*-{runs[0].run_id}.json")
    kept.unlink()
    assert history.baseline(*path) is None
    history.keep(runs[0])
    assert history.baseline(*path) == runs[0]
    say(running, "invalidate", runs[0], reason="The objective was dirty.")
    fetch()
    assert history.baseline(*path) is None


def test_other_instruments_are_told_nothing(running, fetch, history, runs, tools):
    stranger = running.sender("scope-2")
    other = tools.Scope(stranger, start_at=running.clock()).qc(0.5, QcStatus.PASS)
    assert stranger.send([other]).json()["flagged"] == []
    say(running, "invalidate", other, reason="Not ours.")
    fetch()
    assert history.invalid() == {}
