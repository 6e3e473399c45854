"""Finding instruments and acquisitions, held against a plain look at the same records; every engine."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from agent import records as r
from agent.records.wire import CHAIN_START
from server.ingest import file_lines
from server.store import Failed
from server.store.finding import FEW
from server.store.rows import AcquisitionQuery, Agent, Batch, Instrument, Place

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(open_store):
    return open_store()


class Site:
    """A store with instruments that have their own agents."""

    def __init__(self, store, tools):
        self.store, self.tools = store, tools
        self.agents, self.seqs = {}, {}

    def scope(self, instrument_id, name="Spinning disk", site="Basel", start_at=AT - timedelta(hours=1)):
        sender = self.tools.Sender(client=None, instrument_id=instrument_id)
        agent = Agent(sender.agent_id, sender.public_key, instrument_id, "pc", "Linux", "0.1", AT)
        self.do(lambda w: w.put_instrument(Instrument(instrument_id, name, site, AT)))
        self.do(lambda w: w.put_agent(agent))
        self.agents[instrument_id], self.seqs[instrument_id] = agent, (0, CHAIN_START)
        return self.tools.Scope(sender, start_at=start_at)

    def take(self, instrument_id, records):
        agent, (seq, prev) = self.agents[instrument_id], self.seqs[instrument_id]
        body = b"".join(r.encode(record) + b"\n" for record in records)
        lines = file_lines(body, seq + 1, len(records), prev, agent)
        batch = Batch(agent.agent_id, "a", seq + 1, prev, None, lines, "/v1/ingest", {}, body, AT)
        self.do(lambda w: w.append(batch))
        self.seqs[instrument_id] = (batch.last_seq, lines[-1].chain)

    def do(self, job):
        (outcome,) = self.store.write([job])
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value

    def ask(self, question):
        with self.store.reading() as reads:
            return question(reads)

    def found(self, before=None, limit=50, **wanted):
        rows = self.ask(lambda reads: reads.find_acquisitions(AcquisitionQuery(**wanted), before, limit))
        return [row.acquisition_id for row in rows]


@pytest.fixture
def site(store, tools):
    return Site(store, tools)


def acquired(scope, path, objective="Plan Apo 60x Oil", channel="GFP", verdict=None):
    """Return the records of an acquisition that wrote one dataset."""
    scope.values["Objective"]["Label"] = scope.read(objective)
    records = list(scope.acquisition(n_frames=1))
    started, finished, stamp = records[0], records[-2], records[-1]
    plan = finished.plan.model_copy(update={"channels": (r.ChannelPlan(group="Channel", preset=channel),)})
    file = finished.files[0].model_copy(update={"path": path, "sha256": uuid4().hex * 2})
    stamped = stamp.files[0].model_copy(update={"path": path, "sha256": uuid4().hex * 2})
    qc = verdict and r.QcStamp(
        light_paths=(
            r.QcOfLightPath(
                light_path={"objective": objective, "channel": channel},
                is_valid=True,
                status=verdict,
                statement="",
            ),
        )
    )
    scope.later(3600)
    return [
        started.model_copy(update={"plan": plan}),
        finished.model_copy(update={"files": (file,), "plan": plan, "qc": qc}),
        stamp.model_copy(update={"files": (stamped,)}),
    ]


def id_of(records):
    return str(records[0].acquisition_id)


def test_acquisition_is_found_by_everything_it_says(site):
    scope = site.scope("scope-1")
    ours = acquired(scope, r"D:\anna\2026-05-04_Mitosis_GFP.ome.zarr", verdict=r.QcStatus.FAIL)
    other = acquired(scope, r"D:\anna\background.tif", "Plan Fluor 10x", "Cy5", r.QcStatus.PASS)
    session = r.UsageSession(
        captured=scope.now(), **scope.common, session_id=uuid4(), user="Anna", user_name="plain", began=scope.now(),
        ended=scope.now(), duration_s=0.0, ended_by="idle", acquisition_ids=(ours[0].acquisition_id,),
    )  # fmt: skip
    site.take("scope-1", [*ours, *other, session])
    wanted = [
        {"words": ("mitosis",)},
        {"words": ("mito", "zarr")},
        {"sha256": ours[1].files[0].sha256},
        {"sha256": ours[2].files[0].sha256[:12].upper()},
        {"terms": (("objective", "Plan Apo 60x OIL"),)},
        {"terms": (("channel", "gfp"), ("camera", "camera"))},
        {"terms": (("qc", "fail"),)},
        {"terms": (("person", "anna"),)},
        {"until": other[0].started.wall_at},
        {"until": other[0].started.wall_at, "since": ours[0].started.wall_at, "instrument_id": "scope-1"},
    ]

    for one in wanted:
        assert site.found(**one) == [id_of(ours)], one

    assert site.found(words=("anna",)) == [id_of(other), id_of(ours)]
    assert site.found(terms=(("camera", "camera"),)) == [id_of(other), id_of(ours)]
    for nothing in (
        {"words": ("itosis",)},
        {"terms": (("qc", "warn"),)},
        {"sha256": "zz"},
        {"instrument_id": "x"},
    ):
        assert site.found(**nothing) == [], nothing


def test_dataset_keeps_both_hashes_in_whatever_order_they_come(site):
    scope = site.scope("scope-1")
    started, finished, stamp = acquired(scope, "/data/a.tif")

    site.take("scope-1", [stamp, finished, started])

    expected = ("/data/a.tif", finished.files[0].sha256, stamp.files[0].sha256)
    assert site.ask(lambda reads: reads.datasets([str(started.acquisition_id)])) == {
        str(started.acquisition_id): [expected]
    }
    assert site.ask(lambda reads: reads.datasets([])) == {}


def test_nobody_makes_another_instruments_acquisition_findable(site):
    scope, foreign = site.scope("scope-1"), site.scope("scope-2")
    records = acquired(scope, "/data/a.tif")
    site.take("scope-1", records)
    stamp = acquired(foreign, "/data/stolen.tif")[2]

    site.take("scope-2", [stamp.model_copy(update={"acquisition_id": records[0].acquisition_id})])

    assert site.found(words=("stolen",)) == []
    assert len(site.ask(lambda reads: reads.datasets([id_of(records)]))[id_of(records)]) == 1


def test_search_pages_without_loss_and_agrees_with_a_plain_look(site):
    dice = random.Random(20260504)
    scope = site.scope("scope-1")
    names = [f"/data/{dice.choice(['cell', 'cells', 'bead'])}_{n:02d}.tif" for n in range(40)]
    runs = [acquired(scope, name, channel=dice.choice(["GFP", "Cy5"])) for name in names]
    site.take("scope-1", [record for run in runs for record in run])
    plain = [
        id_of(run)
        for run, name in zip(runs, names, strict=True)
        if "/cell" in name and run[1].plan.channels[0].preset == "GFP"
    ]

    pages, before = [], None
    query = AcquisitionQuery(words=("cell",), terms=(("channel", "gfp"),))
    while rows := site.ask(lambda reads, b=before: reads.find_acquisitions(query, b, 3)):
        pages += [row.acquisition_id for row in rows]
        before = Place(rows[-1].began_at, rows[-1].position)

    assert pages == plain[::-1]
    assert len(plain) > 6


def test_common_terms_are_gone_through_by_time_with_the_same_answer(site, monkeypatch):
    scope = site.scope("scope-1")
    runs = [acquired(scope, f"/data/cell_{n}.tif", channel="GFP" if n % 3 else "Cy5") for n in range(9)]
    site.take("scope-1", [record for run in runs for record in run])
    wanted = {"words": ("cell",), "terms": (("channel", "gfp"),), "limit": 4}
    few = site.found(**wanted)

    monkeypatch.setattr("server.store.finding.FEW", 2)

    assert site.found(**wanted) == few == [id_of(run) for n, run in enumerate(runs) if n % 3][::-1][:4]
    assert FEW > 2


def test_terms_to_choose_from_come_in_their_order(site):
    scope = site.scope("scope-1")
    runs = [acquired(scope, "/data/a.tif", channel=channel) for channel in ("GFP", "Cy5", "GFP")]
    site.take("scope-1", [record for run in runs for record in run])
    assert site.ask(lambda reads: reads.search_terms("channel")) == ["cy5", "gfp"]
    assert site.ask(lambda reads: reads.search_terms("channel", limit=1)) == ["cy5"]


def test_fleet_marks_say_the_worst_of_each_instrument(site):
    scope = site.scope("scope-2", "B", "Basel")
    site.scope("scope-1", "A", "Bern")
    early = scope.qc(status=r.QcStatus.FAIL, objective="10x")
    scope.later(60)
    running = list(scope.acquisition())
    now_good = scope.qc(objective="10x")
    warned = scope.qc(status=r.QcStatus.WARN)
    site.take("scope-2", [scope.description(), early, running[0], now_good, warned])

    silent, ours = site.ask(lambda reads: reads.fleet_marks())

    assert (silent.instrument_id, silent.heard_at, silent.qc_rank, silent.qc_at, silent.running_at) == (
        "scope-1", None, 0, None, None,
    )  # fmt: skip
    assert (ours.name, ours.site, ours.model, ours.heard_at) == ("B", "Basel", "Nikon Ti2-E", AT)
    assert (ours.qc_rank, ours.qc_at) == (3, warned.captured.wall_at)
    assert ours.running_at == running[0].started.wall_at
    standing = site.ask(lambda reads: reads.qc_standing(["scope-1", "scope-2"]))
    assert {one.status for one in standing} == {"pass", "warn"}
    assert site.ask(lambda reads: [row.instrument.instrument_id for row in reads.fleet(["scope-2"])]) == [
        "scope-2"
    ]
    assert site.ask(lambda reads: (reads.fleet([]), reads.qc_standing([]))) == ([], [])


def test_model_is_that_of_the_newest_description(site):
    scope = site.scope("scope-1")
    old = scope.description()
    scope.later(60)
    newer = scope.description()
    model = newer.nameplate["model"].model_copy(update={"value": "Eclipse"})
    newer = newer.model_copy(update={"nameplate": {**newer.nameplate, "model": model}})

    site.take("scope-1", [newer])
    site.take("scope-1", [old])

    assert site.ask(lambda reads: reads.instrument("scope-1").model) == "Nikon Eclipse"
    site.do(lambda w: w.put_instrument(Instrument("scope-1", "Renamed", "Bern", AT)))
    assert site.ask(lambda reads: reads.instrument("scope-1").model) == "Nikon Eclipse"
