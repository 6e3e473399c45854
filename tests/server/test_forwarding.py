"""Forwarding between collectors: what goes up as it is, what is filtered, where it stands, and that no ring is closed."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version

import httpx
import pytest

from agent import records as r
from server.access.rotation import DOCUMENT as KEYS
from server.access.rotation import checked_keys, succession
from server.access.scope import Scope
from server.access.secrets import hash_of, new_join_code, new_secret
from server.alerts.findings import Looker
from server.alerts.rules import Rule, Silent
from server.errors import RefusedError
from server.forwarding.client import Upstream
from server.forwarding.downstream import code_job
from server.forwarding.errors import LoopError, UpstreamAwayError, UpstreamRefusedError
from server.forwarding.forwarder import Forwarder, state_of
from server.forwarding.identity import collector_id_of, keys_in
from server.forwarding.policy import Policy
from server.forwarding.protocol import PROXY_SPOOL, JoinRequest, Revoked
from server.keeping.verify import verify
from server.settings import CollectorSettings, LimitSettings, Settings, UpstreamSettings
from server.store.reads import SqlReads
from server.store.rows import Grant

OPEN = {"withhold_people": False, "withhold_samples": False}
CHOSEN_SPOOL = "spool-a"


def settings_for(url: str, name: str = "Basel", **policy: object) -> Settings:
    return Settings(collector=CollectorSettings(name=name), upstream=UpstreamSettings(url=url, **policy))


def join(running, above, keys, called: str = "Basel") -> None:
    code = new_join_code()
    above.collector.writer.do(code_job(code, called, "a test", above.clock(), 1))
    request = JoinRequest(
        join_code=code,
        public_key=base64.b64encode(keys.key.public_key().public_bytes_raw()).decode(),
        collector_id=collector_id_of(running.collector),
        name=running.collector.settings.collector.name,
        version=version("scopestamp"),
    )
    settings = running.collector.settings
    upstream = Upstream(settings.upstream, settings.outgoing, keys)
    try:
        upstream.join(request)
    finally:
        upstream.close()


class Site:
    """A collector that has joined another, and what forwards from it."""

    def __init__(self, running, keys) -> None:
        self.running = running
        self.keys = keys

    @contextmanager
    def forwarder(self) -> Iterator[Forwarder]:
        forwarder = Forwarder(self.running.collector, self.keys, wait=lambda seconds: None)
        try:
            yield forwarder
        finally:
            forwarder.stop()

    def forward(self) -> int:
        with self.forwarder() as forwarder:
            return forwarder.forward_once()


@pytest.fixture
def make_site(make_running, tmp_path) -> Callable[..., Site]:
    made: list[Site] = []

    def make(above, called: str = "Basel", **policy: object) -> Site:
        running = make_running(settings_for(above.url, called, **policy))
        folder = tmp_path / f"keys{len(made)}"
        folder.mkdir()
        site = Site(running, keys_in(folder))
        join(running, above, site.keys, called)
        made.append(site)
        return site

    return make


def batches(running) -> list:
    with running.collector.store.reading() as reads:
        return reads.batches(0, 1000)


def record_ids(running) -> list[str]:
    with running.collector.store.reading() as reads:
        return [row.record_id for row in reads.records(limit=1000)]


def problems(running) -> list[str]:
    with running.collector.store.reading() as reads:
        return verify(reads).problems


def raw_of(running, record: r.Record) -> bytes:
    return running.get(f"/v1/records/{record.record_id}/raw").content


def day(tools, sender, user: str = "rosalind", sample: str = "photo51") -> list[r.Record]:
    """Return records of a day that name a person and a sample wherever one can."""
    scope = tools.Scope(sender)
    started, *middle, finished, stamp = scope.acquisition()
    path = rf"D:\{user}\{sample}.ome.zarr"
    outputs = {
        "files": (finished.files[0].model_copy(update={"path": path}),),
        "problems": (f"{sample} bleached",),
    }
    plan = started.plan.model_copy(update={"sequence": {"metadata": {"user": user, "sample": sample}}})
    told = scope.values.setdefault("Stage", {})
    told["SampleName"] = scope.read(sample)
    return [
        scope.heartbeat(),
        scope.snapshot(),
        scope.change("Stage", "SampleName", scope.read(f"{sample}-2")),
        started.model_copy(update={"outputs": (path,), "plan": plan}),
        *middle,
        finished.model_copy(update={**outputs, "plan": plan}),
        stamp.model_copy(update={"files": (stamp.files[0].model_copy(update={"path": path, "sidecar": path}),)}),
        scope.qc(inputs=(r.QcInput(name=f"{sample}.tif", sha256="b5" * 32),), remarks=(f"{user} measured",)),
        scope.event(f"{user} could not save {sample}"),
        r.UsageSession(
            captured=scope.now(),
            **scope.common,
            session_id=started.acquisition_id,
            user=user,
            user_name="plain",
            began=scope.now(),
            ended=scope.now(),
            duration_s=1.0,
            ended_by="logout",
        ),
    ]  # fmt: skip


def test_unfiltered_batches_go_up_as_their_agents_signed_them(make_running, make_site, tools):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    lines = tools.to_lines(day(tools, sender))
    sender.send(lines[:4])
    sender.send(lines[4:], first_seq=5, prev=tools.chain_over(lines[:4]))
    assert site.forward() == 2
    for below, above in zip(batches(site.running), batches(top), strict=True):
        assert (below.body, below.agent_id, below.prev, below.chain) == (
            above.body,
            above.agent_id,
            above.prev,
            above.chain,
        )
    assert record_ids(top) == record_ids(site.running)
    assert problems(top) == []


def test_instruments_show_under_the_name_of_their_site(make_running, make_site, tools):
    top = make_running()
    middle = make_site(top, "Switzerland", **OPEN)
    site = make_site(middle.running, "Basel", **OPEN)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    site.forward()
    middle.forward()
    with top.collector.store.reading() as reads:
        (instrument,) = reads.instruments()
    assert instrument.site == "Switzerland / Basel / Basel"  # the last is the site of the join code


def test_names_stay_where_the_policy_keeps_them(make_running, make_site, tools):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    records = day(tools, sender)
    sender.send(records)
    site.forward()
    everything = (
        b"".join(line for one in batches(top) for line in _expanded(one))
        + json.dumps([one.headers for one in batches(top)]).encode()
    )
    assert b"rosalind" not in everything
    assert b"photo51" not in everything
    assert sorted(record_ids(top)) == sorted(record_ids(site.running))
    assert problems(top) == []


def test_withheld_paths_stay_different_and_still_join(make_running, make_site, tools):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    *_, finished, stamp = tools.Scope(sender).acquisition()
    one = finished.files[0]
    files = (one, one.model_copy(update={"path": r"D:\data\other.ome.tiff"}))
    sender.send([finished.model_copy(update={"files": files}), stamp])
    site.forward()
    above = json.loads(raw_of(top, finished))["files"]
    first, second = (file["path"] for file in above)
    assert first != second
    assert (first[:9], first[-9:], second[-9:]) == ("withheld-", ".ome.zarr", ".ome.tiff")
    assert json.loads(raw_of(top, stamp))["files"][0]["path"] == first


def test_filtered_record_carries_the_hash_of_the_original(make_running, make_site, tools):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    records = day(tools, sender)
    sender.send(records)
    site.forward()
    session, heartbeat = records[-1], records[0]
    above = json.loads(raw_of(top, session))
    (mark,) = above["filtered"]
    assert mark["original_sha256"] == hashlib.sha256(raw_of(site.running, session)).hexdigest()
    assert mark["filters"] == ["people"]
    assert mark["by"] == collector_id_of(site.running.collector)
    assert above["user_name"] == "omitted"
    assert raw_of(top, heartbeat) == raw_of(site.running, heartbeat)


def test_batch_without_names_keeps_its_signature_between_filtered_ones(
    running_on, open_store, make_site, tools
):
    top = running_on(open_store())  # on every engine: what is withheld in between is no gap
    site = make_site(top)
    sender = site.running.sender()
    scope = tools.Scope(sender)
    named, plain, again = scope.event("rosalind was here"), scope.heartbeat(), scope.event("and again")
    chain = tools.chain_over([named])
    sender.send([named])
    sender.send([plain], first_seq=2, prev=chain)
    sender.send([again], first_seq=3, prev=tools.chain_over([plain], chain))
    sender.send([scope.heartbeat()], first_seq=4, prev=tools.chain_over([named, plain, again]))
    site.forward()
    assert [one.agent_id == sender.agent_id for one in batches(top)] == [False, True, False, True]
    assert problems(top) == []


def test_chosen_kinds_metrics_and_thinning(tools, running):
    sender = running.sender()
    scope = tools.Scope(sender)
    beats = []
    for _ in range(5):
        beats.append(scope.heartbeat())
        scope.later(60)
    lines = tools.to_lines([*beats, scope.qc(), scope.snapshot()])
    chosen = UpstreamSettings(
        **OPEN, kinds=("heartbeat", "qc_result"), metrics=("fwhm_x*",), heartbeats_every_s=120
    )
    left = [json.loads(line) for line in Policy(chosen, "col-x", b"key").apply(lines)]
    assert [one["kind"] for one in left] == ["heartbeat"] * 3 + ["qc_result"]
    assert [one["metric"] for one in left[-1]["metrics"]] == ["fwhm_x_um"]
    assert left[-1]["filtered"][0]["filters"] == ["metrics"]


def test_what_cannot_be_judged_is_withheld(tools, running):
    sender = running.sender()
    beat = json.loads(r.encode(tools.Scope(sender).heartbeat()))
    odd = [{**beat, "kind": "from_the_future", "who": "rosalind"}, {**beat, "owner": "rosalind"}]
    lines = [json.dumps(one).encode() for one in odd]
    (left,) = Policy(UpstreamSettings(), "col-x", b"key").apply(lines)
    assert b"rosalind" not in left
    assert json.loads(left)["filtered"][0]["filters"] == ["unknown fields"]
    assert Policy(UpstreamSettings(**OPEN), "col-x", b"key").apply(lines) == lines


def test_lost_reply_and_outage_lose_and_double_nothing(make_running, make_site, tools, monkeypatch):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    lines = tools.to_lines(day(tools, sender))
    sender.send(lines[:4])
    send = Upstream.send

    def reply_lost(self, *args):
        send(self, *args)
        raise UpstreamAwayError("the reply was lost")

    with site.forwarder() as forwarder:
        monkeypatch.setattr(Upstream, "send", reply_lost)
        with pytest.raises(UpstreamAwayError):
            forwarder.forward_once()
        monkeypatch.setattr(Upstream, "send", send)
        sender.send(lines[4:], first_seq=5, prev=tools.chain_over(lines[:4]))
        assert forwarder.forward_once() == 1
    assert record_ids(top) == record_ids(site.running)
    assert len(record_ids(top)) == len(lines)
    assert site.forward() == 0
    assert problems(top) == []


def test_store_restored_from_a_backup_starts_another_log(make_running, make_site, tools, tmp_path):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    scope = tools.Scope(sender)
    first, second = scope.heartbeat(), scope.heartbeat()
    sender.send([first])
    site.forward()
    # the backup is from before the first batch: the log grows another first batch
    other = Site(make_running(site.running.collector.settings), site.keys)
    with site.running.collector.store.reading() as reads:
        state = reads.document("upstream", top.url).body
        agent, instrument = reads.agents()[0], reads.instruments()[0]
        own_id = reads.document("collector_id", "own").body

    def restore(writes):
        writes.put_document("upstream", top.url, state, top.clock(), "a test")
        writes.put_document("collector_id", "own", own_id, top.clock(), "a test")
        writes.put_instrument(instrument)
        writes.put_agent(agent)

    other.running.collector.writer.do(restore)
    sender.client = other.running.client
    sender.send([first, second])
    other.forward()
    assert sorted(record_ids(top)) == sorted(str(one.record_id) for one in (first, second))
    assert problems(top) == []


def test_ring_is_refused_when_it_is_joined(make_running, make_site, tmp_path):
    top = make_running()
    site = make_site(top)
    site.forward()
    # the top is now to forward to the site, which forwards to it
    ring = make_running_like(make_running, top, site.running.url)
    with pytest.raises(UpstreamRefusedError, match="come back") as refused:
        join(ring, site.running, keys_in(tmp_path / "data0"))
    assert refused.value.error == "loop"


def make_running_like(make_running, running, upstream_url: str):
    """Return a collector of the same identity that has an upstream."""
    other = make_running(settings_for(upstream_url))
    own_id = collector_id_of(running.collector)
    other.collector.writer.do(
        lambda writes: writes.put_document("collector_id", "own", own_id, running.clock(), "a test")
    )
    return other


def test_ring_that_was_closed_behind_our_back_carries_nothing_twice(make_running, make_site, tools, tmp_path):
    """Two collectors that forward to each other: what one brought is not sent back, and would be refused."""
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    site.forward()
    ring = Forwarder(_with_upstream(top, site.running.url), keys_in(tmp_path / "data0"), wait=lambda s: None)
    _let_in_unchecked(site.running, keys_in(tmp_path / "data0"))
    with pytest.raises((LoopError, UpstreamRefusedError)):
        ring.forward_once()
    ring.stop()
    assert len(batches(site.running)) == 1


def _with_upstream(running, url: str):
    from dataclasses import replace

    return replace(running.collector, settings=settings_for(url, **OPEN))


def _let_in_unchecked(running, keys) -> None:
    code = new_join_code()
    running.collector.writer.do(code_job(code, "Ring", "a test", running.clock(), 1))
    request = JoinRequest(
        join_code=code,
        public_key=base64.b64encode(keys.key.public_key().public_bytes_raw()).decode(),
        collector_id="col-" + "0" * 32,
        name="Ring",
        version="0",
    )
    settings = settings_for(running.url)
    upstream = Upstream(settings.upstream, settings.outgoing, keys)
    upstream.join(request)
    upstream.close()


def test_parcel_that_has_passed_here_is_refused(make_running, make_site, tools, monkeypatch):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    send, own_id = Upstream.send, collector_id_of(top.collector)

    def passed(self, log_id, prev, parcels):
        return send(
            self, log_id, prev, [one.model_copy(update={"via": (own_id, *one.via)}) for one in parcels]
        )

    monkeypatch.setattr(Upstream, "send", passed)
    with pytest.raises(UpstreamRefusedError, match="ring"):
        site.forward()
    assert batches(top) == []


def test_stranger_and_revoked_collector_are_refused(make_running, make_site, tools, tmp_path):
    from server.forwarding.downstream import revoke_job

    top = make_running()
    site = make_site(top)
    with pytest.raises(UpstreamRefusedError, match="let it join"):
        Site(site.running, keys_in(tmp_path)).forward()
    top.collector.writer.do(revoke_job(site.keys.agent_id, top.clock(), "a test"))
    with pytest.raises(UpstreamRefusedError, match="may not forward"):
        site.forward()


def test_revoked_collector_does_not_come_back_by_its_old_join_code(make_running, make_site, tmp_path):
    """The same code is answered alike however often it is sent, because a reply may be lost; but not beyond a revocation."""
    from server.forwarding.downstream import Downstream, downstream_of, join_job, revoke_job

    top = make_running()
    keys = keys_in(tmp_path)
    public_key = base64.b64encode(keys.key.public_key().public_bytes_raw()).decode()
    asking = Downstream(
        agent_id=keys.agent_id, collector_id="col-" + "0" * 32, name="Basel", public_key=public_key, joined_at=top.clock()
    )  # fmt: skip
    codes = [new_join_code(), new_join_code()]
    for code in codes:
        top.collector.writer.do(code_job(code, "Basel", "a test", top.clock(), 1))
    top.collector.writer.do(join_job(codes[0], asking, (), top.clock()))
    top.collector.writer.do(join_job(codes[0], asking, (), top.clock()))
    top.collector.writer.do(revoke_job(keys.agent_id, top.clock(), "a test"))

    with pytest.raises(RefusedError, match="revoked since"):
        top.collector.writer.do(join_job(codes[0], asking, (), top.clock()))

    with top.collector.store.reading() as reads:
        assert downstream_of(reads, keys.agent_id).revoked_at is not None
    top.collector.writer.do(join_job(codes[1], asking, (), top.clock()))  # staff have let it in anew
    with top.collector.store.reading() as reads:
        assert downstream_of(reads, keys.agent_id).revoked_at is None


@pytest.mark.parametrize("wrong", [RuntimeError("a bug"), UpstreamAwayError("a test")])
def test_forwarding_goes_on_after_what_nobody_foresaw(make_running, make_site, tools, wrong, monkeypatch):
    top = make_running()
    site = make_site(top)
    site.running.sender().send([tools.Scope(site.running.sender("scope-2")).heartbeat()])
    n_asked = []
    plain_once = Forwarder.forward_once

    def once(forwarder) -> int:
        n_asked.append(1)
        if len(n_asked) == 1:
            raise wrong
        n_sent = plain_once(forwarder)
        forwarder._stop.set()
        return n_sent

    monkeypatch.setattr(Forwarder, "forward_once", once)
    with site.forwarder() as forwarder:
        forwarder.start()
        forwarder._thread.join()
    assert len(batches(top)) == 1


@pytest.mark.parametrize("asked", ["7", "99999999999", "9" * 400])
def test_who_asks_for_an_absurd_pause_is_asked_again_within_the_hour(
    make_running, make_site, monkeypatch, asked
):
    site = make_site(make_running())
    reply = httpx.Response(503, headers={"retry-after": asked}, content=b"busy")
    monkeypatch.setattr(Upstream, "_sent", lambda *args: reply)
    with site.forwarder() as forwarder:
        forwarder._go()
        assert forwarder._pause_s == min(int(asked), 3600)  # longer than a thread can wait, it would end


def test_batches_that_are_too_large_together_go_up_fewer_at_a_time(make_running, make_site, tools):
    """As 8 MiB that compress to a few kB would be: the sender counts what goes over the wire, the receiver what comes out."""
    top = make_running(Settings(limits=LimitSettings(max_expanded_bytes=64 << 10)))
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    scope, prev = tools.Scope(sender), tools.wire.CHAIN_START
    for seq in range(1, 15):
        beat = [scope.heartbeat(versions={"long": "x" * 50_000})]
        assert sender.send(beat, first_seq=seq, prev=prev).status_code == 200
        prev = tools.chain_over(beat, prev)
    with site.forwarder() as forwarder:
        for _ in range(3):
            forwarder._go()
    assert len(batches(top)) == 14


def test_large_batches_are_read_as_they_are_sent(make_running, make_site, tools, monkeypatch):
    """A site that catches up on large batches has read, for each request of half a megabyte, two hundred of them."""
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    scope, prev, dice = tools.Scope(sender), tools.wire.CHAIN_START, random.Random(1)
    for seq in range(1, 25):
        beat = [scope.heartbeat(versions={"long": dice.randbytes(100_000).hex()})]
        assert sender.send(beat, first_seq=seq, prev=prev).status_code == 200
        prev = tools.chain_over(beat, prev)
    n_read, batches_of = [], SqlReads.batches

    def counted(reads, after=0, limit=100):
        found = batches_of(reads, after, limit)
        n_read.append(len(found))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(SqlReads, "batches", counted)
        site.forward()
    assert len(batches(top)) == 24
    assert max(n_read) <= 8


def test_two_that_forward_with_one_key_do_not_begin_logs_without_a_pause(
    make_running, make_site, tools, monkeypatch
):
    site = make_site(make_running())
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    send = Upstream.send

    def forked(self, *args):
        raise UpstreamRefusedError("log_fork", "The log stands elsewhere.")

    monkeypatch.setattr(Upstream, "send", forked)
    pauses = []
    with site.forwarder() as forwarder:
        for _ in range(3):
            forwarder._go()
            pauses.append(forwarder._pause_s)
        monkeypatch.setattr(Upstream, "send", send)
        forwarder._go()
    assert pauses == [0, 60, 60]
    assert forwarder._pause_s == 1


def test_batch_with_a_wrong_signature_is_passed_over_and_told(make_running, make_site, tools, monkeypatch):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    send = Upstream.send

    def altered(self, log_id, prev, parcels):
        other = base64.b64encode(b"{}").decode()
        return send(self, log_id, prev, [one.model_copy(update={"body": other}) for one in parcels])

    monkeypatch.setattr(Upstream, "send", altered)
    site.forward()
    assert batches(top) == []
    with site.running.collector.store.reading() as reads:
        state = state_of(reads, top.url)
    assert state.n_not_taken == 1
    assert "does not fit" in state.last_not_taken


def test_another_sites_instrument_is_not_taken_over(make_running, make_site, tools):
    top = make_running()
    first, second = make_site(top, "Basel", **OPEN), make_site(top, "Bern", **OPEN)
    for site in (first, second):
        sender = site.running.sender("scope-1")
        sender.send([tools.Scope(sender).heartbeat()])
        site.forward()
    with top.collector.store.reading() as reads:
        (instrument,) = reads.instruments()
    assert instrument.site == "Basel / Basel"
    with second.running.collector.store.reading() as reads:
        assert state_of(reads, top.url).n_not_taken == 1


def test_silence_is_judged_above_by_forwarded_heartbeats(make_running, make_site, tools, clock):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    heard_at = clock()
    clock.later(hours=1)  # the link was gone meanwhile
    site.forward()
    (one,) = top.get("/v1/instruments").json()
    assert one["presence"] == "silent"
    with top.collector.store.reading() as reads:
        assert [agent.heard_at for agent in reads.agents()] == [heard_at]


def test_who_sees_what_and_alerts_follow_the_sites_above(make_running, make_site, tools, clock):
    top = make_running()
    for name in ("Basel", "Baselland"):
        site = make_site(top, name)
        sender = site.running.sender(f"scope-{name}")
        sender.send([tools.Scope(sender).heartbeat()])
        site.forward()
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", "ada", "viewer", clock(), None, Scope.of(["Basel"]).text)
    top.collector.writer.do(lambda writes: writes.add_grant(grant))
    seen = top.client.get("/v1/instruments", headers={"Authorization": f"Bearer {secret}"}).json()
    assert [one["instrument_id"] for one in seen] == ["scope-Basel"]
    clock.later(hours=1)
    silent = Rule(key="silent", name="No sign of life", condition=Silent(), sites=("Basel",))
    with top.collector.store.reading() as reads:
        found = Looker().look(reads, [silent], clock(), lambda key: False)
    assert [one.instrument_id for one in found] == ["scope-Basel"]


def _expanded(batch) -> list[bytes]:
    from server.store.chains import lines_of

    return lines_of(batch)


# Keys of agents that change below


class Beats:
    """Sends heartbeats, one a batch, in one spool."""

    def __init__(self, tools, sender) -> None:
        self.sender = sender
        self.n, self._chain = 0, "0" * 64
        self._scope, self._tools = tools.Scope(sender), tools

    def send(self, client=None) -> int:
        line = self._tools.to_lines([self._scope.heartbeat()])
        self.sender.client = client or self.sender.client
        reply = self.sender.send(line, first_seq=self.n + 1, prev=self._chain)
        if reply.is_success:
            self.n, self._chain = self.n + 1, self._tools.chain_over(line, self._chain)
        return reply.status_code


def agent_at(running, agent_id):
    with running.collector.store.reading() as reads:
        return reads.agent(agent_id)


def not_taken(site) -> int:
    with site.running.collector.store.reading() as reads:
        return state_of(reads, site.running.collector.settings.upstream.url).n_not_taken


def test_rotated_keys_are_vouched_for_at_every_level(make_running, make_site, tools):
    """Old batches go up when the new key is in force already, new ones when only the old key is known above."""
    top = make_running()
    middle = make_site(top, "Switzerland", **OPEN)
    site = make_site(middle.running, "Basel", **OPEN)
    sender = site.running.sender()
    beats = Beats(tools, sender)
    beats.send()
    site.forward()
    for _ in range(2):
        beats.send()
        assert sender.rotate().status_code == 200
        beats.send()
    site.forward()
    middle.forward()
    assert sender.rotate().status_code == 200
    beats.send()
    site.forward()
    middle.forward()
    assert (not_taken(site), not_taken(middle)) == (0, 0)
    for running in (middle.running, top):
        told = [(one.body, one.agent_id, one.headers["scopestamp-signature"]) for one in batches(running)]
        assert told == [
            (one.body, one.agent_id, one.headers["scopestamp-signature"]) for one in batches(site.running)
        ]
        assert agent_at(running, sender.agent_id).public_key == sender.public_key
        assert (len(told), problems(running)) == (6, [])


def test_what_is_filtered_of_an_agent_with_a_new_key_goes_up_as_before(make_running, make_site, tools):
    top = make_running()
    site = make_site(top)
    sender = site.running.sender()
    lines = tools.to_lines(day(tools, sender))
    sender.send(lines[:4])
    site.forward()
    sender.rotate()
    sender.send(lines[4:], first_seq=5, prev=tools.chain_over(lines[:4]))
    site.forward()
    assert (not_taken(site), problems(top)) == (0, [])
    assert sorted(record_ids(top)) == sorted(record_ids(site.running))


def test_keys_whose_replacement_was_not_kept_are_signed_for_by_the_site(make_running, make_site, tools):
    """As of a collector before it was kept: nothing is lost, and the site answers for it."""
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    sender.rotate()
    beats = Beats(tools, sender)
    beats.send()

    def forget(writes) -> None:
        told = json.loads(writes.document(KEYS, sender.agent_id).body)
        told["old"][0] |= {"replaced_by": None}
        writes.put_document(KEYS, sender.agent_id, json.dumps(told), site.running.clock(), "a test")

    site.running.collector.writer.do(forget)
    site.forward()
    (batch,) = batches(top)
    assert batch.headers["scopestamp-spool"] == PROXY_SPOOL and batch.agent_id != sender.agent_id
    assert (not_taken(site), problems(top), problems(site.running)) == (0, [], [])


FORGERIES = {
    "another's id": lambda id_, keys: ("agt-" + "0" * 32, keys),
    "a link left out": lambda id_, keys: (id_, keys[1:]),
    "the first only": lambda id_, keys: (id_, keys[:1]),
    "links exchanged": lambda id_, keys: (id_, keys[::-1]),
    "another body": lambda id_, keys: (id_, [_changed(keys[0], body="{}"), keys[1]]),
    "another request": lambda id_, keys: (id_, [_changed(keys[0], path="/v1/ingest"), keys[1]]),
    "a replacement of the next": lambda id_, keys: (
        id_,
        [keys[0].model_copy(update={"replaced_by": keys[1].replaced_by}), keys[1]],
    ),
}


def _changed(key, **update):
    return key.model_copy(update={"replaced_by": key.replaced_by.model_copy(update=update)})


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_key_that_none_before_vouched_for_is_not_taken(running, tools, forgery):
    sender = running.sender()
    sender.rotate()
    sender.rotate()
    agent = agent_at(running, sender.agent_id)
    with running.collector.store.reading() as reads:
        earlier = succession(reads, agent)
    assert checked_keys(agent.agent_id, earlier, agent.public_key)[-1] == sender.public_key
    agent_id, shown = forgery(agent.agent_id, list(earlier))
    with pytest.raises(RefusedError) as refused:
        checked_keys(agent_id, shown, agent.public_key)
    assert refused.value.status == 401


def test_agent_revoked_at_its_site_ends_there_and_cannot_go_round_it(make_running, make_site, tools):
    """What the site took before goes up; who has the stolen key cannot send to the collector above either."""
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    beats = Beats(tools, sender)
    beats.send()
    site.forward()
    beats.send()
    site.running.collector.writer.do(
        lambda writes: writes.revoke_agent(sender.agent_id, site.running.clock())
    )
    assert beats.send() == 403
    site.forward()
    assert (len(batches(top)), not_taken(site), problems(top)) == (2, 0, [])

    assert beats.send(top.client) == 401
    assert sender.rotate().json()["error"] == "unknown_agent"
    assert len(batches(top)) == 2


@pytest.mark.parametrize("policy", [OPEN, {}], ids=["as it was signed", "signed by the site"])
def test_agent_revoked_at_its_site_is_shown_so_at_every_level(make_running, make_site, tools, policy):
    top = make_running()
    national = make_site(top, called="Switzerland", **OPEN)
    site = make_site(national.running, **policy)
    sender = site.running.sender()
    sender.send(day(tools, sender))
    assert site.forward() and national.forward()
    assert {one["revoked_below_at"] for one in top.get("/v1/agents").json()} == {None}

    at = site.running.clock()
    site.running.collector.writer.do(lambda writes: writes.revoke_agent(sender.agent_id, at))
    site.running.clock.later(hours=3)
    site.forward()
    national.forward()
    for level in (national.running, top):
        (agent,) = level.get("/v1/agents").json()
        assert datetime.fromisoformat(agent["revoked_below_at"]) == at
        assert agent["revoked_at"] is None  # what it sent before may still come
        with level.browser() as browser:
            assert "revoked at its site" in browser.get("/admin").text
        with level.collector.store.reading() as reads:
            assert [one.action for one in reads.audit(20)].count("agent revoked below") == 1


def test_collector_tells_of_its_own_agents_alone(make_running, make_site, tools):
    top = make_running()
    basel, bern = make_site(top, "Basel", **OPEN), make_site(top, "Bern", **OPEN)
    sender = basel.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    basel.forward()
    settings = bern.running.collector.settings
    upstream = Upstream(settings.upstream, settings.outgoing, bern.keys, bern.running.clock)
    upstream.tell_revoked((Revoked(agent_id=sender.agent_id, at=top.clock()),))
    upstream.close()
    assert [one["revoked_below_at"] for one in top.get("/v1/agents").json()] == [None]


def test_collector_above_of_an_earlier_version_is_told_nothing_and_takes_the_rest(
    make_running, make_site, tools, monkeypatch
):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    sender.send([tools.Scope(sender).heartbeat()])
    site.running.collector.writer.do(
        lambda writes: writes.revoke_agent(sender.agent_id, site.running.clock())
    )
    monkeypatch.setattr("server.forwarding.client.REVOKED_PATH", "/v1/forward/unheard-of")
    assert (site.forward(), not_taken(site)) == (1, 0)
    with site.running.collector.store.reading() as reads:
        assert state_of(reads, top.url).last_error == ""


def test_forwarded_agent_may_enrol_above_itself(make_running, make_site, tools):
    top = make_running()
    site = make_site(top, **OPEN)
    sender = site.running.sender()
    beats = Beats(tools, sender)
    beats.send()
    site.forward()
    assert beats.send(top.client) == 401
    assert sender.enrol(top.join_code()).status_code == 200
    assert beats.send() == 200
    assert problems(top) == []
