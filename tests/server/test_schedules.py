"""Schedules at the collector: written by staff, fetched by agents, told of on pages."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.clock import Clock
from agent.errors import CollectorRefusedError
from agent.mint import Mint
from agent.outbox.collector import Collector as AgentsCollector
from agent.outbox.identity import Identity
from agent.records import OperatorTask, PlannedSchedule, SchedulePlan, ScheduleRun
from agent.records.schedules import Schedule, SchedulesReply
from server.access.scope import Scope
from server.ingest.evidence import records_of
from server.quality.schedules import open_tasks

NOISE = {"schedule_id": "noise", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "Europe/Zurich"}
NASTY = "<script>alert(1)</script>"


def identity_of(sender, folder) -> Identity:
    """Return the identity that signs as the enrolled sender."""
    path = folder / "agent.key"
    path.write_bytes(sender.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Identity(folder, sender.agent_id, sender.instrument_id)


@pytest.fixture
def sender(running):
    return running.sender("scope-1")


@pytest.fixture
def agent(running, sender, tmp_path):
    """The agent's own client, signing as the enrolled one."""
    identity = identity_of(sender, tmp_path)
    client = AgentsCollector(running.url, identity, clock=Clock())
    yield client
    client.close()


def write(running, schedule=NOISE, role="staff", query="", **more):
    body = {"schedule": schedule, "instruments": ["scope-1"], **more}
    path = f"/v1/qc/schedules/{schedule['schedule_id']}{query}"
    return running.client.put(path, json=body, headers=running.token(role))


def told(sender, state="waiting_for_person", **more) -> ScheduleRun:
    mint = Mint(more.pop("instrument_id", "scope-1"), sender.agent_id, Clock())
    now = more.pop("now")
    fields = {"run_id": uuid4(), "reason": "", "planned_at": now + timedelta(hours=2)} | more
    task = OperatorTask(slide=NASTY, slot=2, n_slots=4, steps=("Put it in.",), until=now + timedelta(hours=4))
    return mint.make(
        ScheduleRun,
        schedule_id="noise",
        source="collector",
        routine="psf",
        zone="UTC",
        state=state,
        task=task,
        **fields,
    )


def test_agent_fetches_what_staff_wrote_and_then_nothing_new(running, agent):
    assert write(running).status_code == 200
    body, etag = agent.schedules(None)
    reply = SchedulesReply.model_validate_json(body)
    assert [one.schedule for one in reply.schedules] == [Schedule(**NOISE)]
    assert agent.schedules(etag) is None
    write(running, {**NOISE, "cron": "0 4 * * *"})
    body, other = agent.schedules(etag)
    assert other != etag and SchedulesReply.model_validate_json(body).schedules[0].version == 2


def test_agent_fetches_those_of_its_groups_and_no_others(running, agent):
    running.sender("scope-2")
    with running.browser(role="staff") as browser:
        token = _form_token(browser)
        for name, instrument in (("east", "scope-1"), ("west", "scope-2")):
            form = {"form_token": token, "name": name, "instruments": [instrument]}
            assert browser.post("/schedule-groups", data=form).status_code == 200
    write(running, instruments=[], groups=["east"])
    write(running, {**NOISE, "schedule_id": "other"}, instruments=["scope-2"], groups=["west"])
    reply = SchedulesReply.model_validate_json(agent.schedules(None)[0])
    assert [one.schedule.schedule_id for one in reply.schedules] == ["noise"]


def test_stranger_fetches_nothing(running, sender, tmp_path):
    stranger = AgentsCollector(running.url, Identity.load_or_create(tmp_path / "x", "scope-1"), clock=Clock())
    with pytest.raises(CollectorRefusedError, match="names no agent known here"):
        stranger.schedules(None)
    stranger.close()


@pytest.mark.parametrize("role", ["viewer", "operator", "vendor", "auditor"])
def test_only_staff_write(running, sender, role):
    assert write(running, role=role).status_code == 403


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cron": "0 3 * *"}, "five fields"),
        ({"cron": "61 3 * * *"}, "never falls due"),
        ({"zone": "Europe/Atlantis"}, "no time zone"),
        ({"laser_mw": 500}, "laser_mw"),
        ({"window": "noonish"}, "a window such as"),
    ],
    ids=str,
)
def test_schedule_that_makes_no_sense_is_refused_in_words(running, sender, change, said):
    reply = write(running, {**NOISE, **change})
    assert reply.status_code == 400 and said in reply.json()["message"]


def test_schedule_for_an_instrument_that_is_not_there_is_refused(running, sender):
    assert "no instrument 'scope-9'" in write(running, instruments=["scope-9"]).json()["message"]
    assert "no group 'north'" in write(running, groups=["north"]).json()["message"]


def test_change_that_did_not_see_the_last_one_is_refused(running, sender):
    assert write(running, query="?replaces=0").json()["version"] == 1
    assert write(running, query="?replaces=0").status_code == 409


def test_removed_schedule_is_gone_and_audited(running, agent):
    write(running)
    token = running.token("staff")
    assert running.client.delete("/v1/qc/schedules/noise", headers=token).status_code == 204
    assert running.client.delete("/v1/qc/schedules/noise", headers=token).status_code == 404
    assert SchedulesReply.model_validate_json(agent.schedules(None)[0]).schedules == ()
    with running.collector.store.reading() as reads:
        actions = [entry.action for entry in reads.audit(10)]
    assert actions[:2] == ["schedule removed", "schedule put"]


def test_form_writes_what_the_form_shows_again(running, sender):
    form = {
        "schedule_id": "beads", "routine": "psf", "every_days": "7", "window": "weekdays 01:00-05:00",
        "zone": "Europe/Zurich", "slide": "beads 0.2 um", "slot": "2", "n_slots": "4", "asks_person": "yes",
        "is_enabled": "yes", "instruments": ["scope-1"],
        "further": 'options = {bead_um = 0.2}\nchannels = ["FITC"]\n[limits]\nlight_s = 30\n',
    }  # fmt: skip
    with running.browser(role="staff") as browser:
        page = browser.post("/schedules", data={**form, "form_token": _form_token(browser)})
        assert page.status_code == 200 and "every 7 days, weekdays 01:00-05:00" in page.text
        again = browser.get("/schedules/beads").text
    assert 'value="beads 0.2 um"' in again and "light_s = 30" in again and "bead_um = 0.2" in again
    (kept,) = running.client.get("/v1/qc/schedules", headers=running.token()).json()
    assert kept["schedule"]["limits"] == {"light_s": 30.0, "travel_um": None, "focus_um": None}
    assert kept["schedule"]["channels"] == ["FITC"]


def test_form_without_its_token_and_toml_that_is_none_are_refused(running, sender):
    form = {"schedule_id": "a", "routine": "psf", "cron": "0 3 * * *", "instruments": ["scope-1"]}
    with running.browser(role="staff") as browser:
        assert browser.post("/schedules", data=form).status_code == 403
        token = _form_token(browser)
        assert (
            browser.post("/schedules", data={**form, "form_token": token, "further": "x"}).status_code == 400
        )
        assert (
            browser.post("/schedules", data={**form, "form_token": token, "further": "a=1"}).status_code
            == 400
        )


def test_task_is_shown_confirmed_and_fetched_by_the_agent(running, sender, agent):
    asked = told(sender, now=running.clock())
    assert sender.send([asked]).status_code == 200
    with running.browser(role="operator") as browser:
        page = browser.get("/tasks").text
        assert "place 2 of 4" in page and NASTY not in page and "&lt;script&gt;" in page
        token = _form_token(browser)
        done = browser.post(f"/tasks/{asked.run_id}/confirm", data={"form_token": token})
        assert done.status_code == 200 and "All of this is done" not in done.text
        assert browser.post(f"/tasks/{UUID(int=1)}/confirm", data={"form_token": token}).status_code == 404
    (confirmed,) = SchedulesReply.model_validate_json(agent.schedules(None)[0]).confirmations
    assert (confirmed.run_id, confirmed.by) == (asked.run_id, "ada")


def test_viewer_sees_tasks_and_confirms_none(running, sender):
    asked = told(sender, now=running.clock())
    sender.send([asked])
    with running.browser(role="viewer") as browser:
        assert "All of this is done" not in browser.get("/tasks").text
        token = _form_token(browser)
        assert browser.post(f"/tasks/{asked.run_id}/confirm", data={"form_token": token}).status_code == 403


def test_task_expires(running, sender):
    sender.send([told(sender, now=running.clock())])
    running.clock.later(hours=5)
    with running.browser(role="operator") as browser:
        assert "Nobody is asked for anything" in browser.get("/tasks").text


def test_task_that_was_answered_or_missed_is_asked_no_more(running, sender):
    now = running.clock()
    asked = [told(sender, now=now, run_id=UUID(int=number)) for number in (1, 2, 3)]
    assert sender.send([*asked, told(sender, "running", now=now, run_id=UUID(int=2))]).status_code == 200
    assert _asked_for(running) == {UUID(int=1), UUID(int=3)}
    mark = running.get("/v1/spools").json()[0]
    ended = [told(sender, "missed", now=now, run_id=UUID(int=1)), told(sender, now=now, run_id=UUID(int=4))]
    sender.send(ended, first_seq=mark["mark"] + 1, prev=mark["chain"])
    assert _asked_for(running) == {UUID(int=3), UUID(int=4)}


def test_tasks_are_looked_for_in_what_came_in_since(running, sender, monkeypatch):
    """The page costs what is new, not what was told in all the years before."""
    n_read = []
    monkeypatch.setattr(
        "server.quality.asked.records_of",
        lambda reads, rows: n_read.append(len(rows)) or records_of(reads, rows),
    )
    now = running.clock()
    sender.send([told(sender, now=now) for _ in range(450)])
    assert len(_asked_for(running)) == 450 and n_read == [450]
    assert len(_asked_for(running)) == 450 and n_read == [450]
    mark = running.get("/v1/spools").json()[0]
    sender.send([told(sender, now=now)], first_seq=mark["mark"] + 1, prev=mark["chain"])
    assert len(_asked_for(running)) == 451 and n_read == [450, 1]


def test_tasks_of_other_sites_are_not_shown(running, sender):
    """What one person's question has found is not told to another who may not see it."""
    sender.send([told(sender, now=running.clock())])
    assert len(_asked_for(running)) == 1
    elsewhere = running.collector.seen_in(Scope.of(["Elsewhere"]))
    with elsewhere.store.reading() as reads:
        assert open_tasks(reads, elsewhere.asked, elsewhere.now()) == []


def test_tasks_of_one_site_can_be_had_and_confirming_leads_back_to_them(running, sender):
    far = running.sender("scope-far")
    running.collector.writer.do(
        lambda writes: writes.put_instrument(
            type(writes.instrument("scope-far"))("scope-far", "Far away", "Bern / Insel", running.clock())
        )
    )
    here, there = told(sender, now=running.clock()), told(far, now=running.clock(), instrument_id="scope-far")
    assert sender.send([here]).status_code == far.send([there]).status_code == 200
    with running.browser(role="operator") as browser:
        page = browser.get("/tasks").text
        assert f"/tasks/{here.run_id}/confirm" in page and f"/tasks/{there.run_id}/confirm" in page
        page = browser.get("/tasks?site=Bern").text
        assert f"/tasks/{here.run_id}/confirm" not in page and "Far away</a>" in page
        action = re.search(rf'action="(/tasks/{there.run_id}/confirm[^"]*)"', page)[1]
        done = browser.post(action, data={"form_token": _form_token(browser)})
        assert done.url.path == "/tasks" and done.url.params["site"] == "Bern"
        assert "All of this is done" not in done.text and "Slides that are in place" in done.text
        assert "1 task is asked of other instruments." in done.text
        assert "Slides that are in place" not in browser.get("/tasks?site=Basel").text


def _asked_for(running) -> set[UUID]:
    collector = running.collector
    with collector.store.reading() as reads:
        return {one.record.run_id for one, _ in open_tasks(reads, collector.asked, collector.now())}


def test_page_and_api_show_the_last_word_on_every_run(running, sender):
    now = running.clock()
    run_id = uuid4()
    sender.send(
        [
            told(sender, "waiting", now=now, run_id=run_id),
            told(sender, "missed", now=now, run_id=run_id, reason="The agent was off."),
            Mint("scope-1", sender.agent_id, Clock()).make(
                SchedulePlan,
                schedules=(
                    PlannedSchedule(schedule_id="noise", source="file", routine="psf", rule="0 3 * * *",
                                    next_at=(now + timedelta(days=1),)),
                    PlannedSchedule(schedule_id="laser", source="collector", routine="psf", refused=NASTY),
                ),
            ),
        ]
    )  # fmt: skip
    runs = running.get("/v1/instruments/scope-1/schedule-runs").json()["runs"]
    assert [(one["run_id"], one["state"], one["reason"]) for one in runs] == [
        (str(run_id), "missed", "The agent was off.")
    ]
    with running.browser(role="viewer") as browser:
        page = browser.get("/schedules").text
    assert "The agent was off." in page and "missed" in page and "2026-05-05 12:00:00 UTC" in page
    assert NASTY not in page and "Write a schedule" not in page
    following = page[page.index('id="next"') : page.index('id="past"')]
    assert following.count('href="/instruments/scope-1"') == 1 and 'rowspan="2"' in following
    (ended,) = (one["record_id"] for one in runs)
    assert f'href="/records/{ended}"' in page[page.index('id="past"') :]


def _form_token(browser) -> str:
    page = browser.get("/schedules").text
    return page.split('name="form_token" value="')[1].split('"')[0]
