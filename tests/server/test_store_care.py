"""Verifying, giving up, copying: what keeps a store trustworthy over years, on every engine."""

from __future__ import annotations

import base64
import hashlib
import random
from contextlib import closing
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.records import encode
from agent.records.wire import SKIPPED_FROM_HEADER, chain_skip
from server.collector import Collector
from server.errors import SettingsError
from server.keeping import retention
from server.keeping.checkpoints import Signer, Tree, is_signed, leaf_of, next_checkpoint
from server.keeping.copying import copy_store, digest
from server.keeping.verify import verify
from server.settings import RetentionSettings, Settings
from server.store import SqliteStore
from server.store.connection import to_uuid
from server.store.rows import AuditEntry
from server.store.tables import TABLES

SIGNER = Signer("collector.example.org/basel", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def running(running_on, store):
    return running_on(store)


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def beats(running, tools, sender):
    """Forty minutes of heartbeats, an acquisition among them, a line that is none, a skip and a replay: all real requests."""
    scope = tools.Scope(sender, start_at=running.clock() - timedelta(hours=1))
    beats = []
    for _ in range(40):
        beats.append(scope.heartbeat())
        scope.later(60)
    sender.send(beats[:20])
    sender.send([*beats[15:20], *beats[20:30]], first_seq=16, prev=tools.chain_over(beats[:15]))
    prev = chain_skip(tools.chain_over(beats[:30]), 31, 35)
    sender.send(beats[35:], first_seq=36, prev=prev, **{SKIPPED_FROM_HEADER: "31"})
    sender.send([*scope.acquisition(), b"not json", scope.qc()], spool_id="critical")
    sender.send(beats[:3], spool_id="again")
    return beats


def checkpoint(store, at):
    with store.reading() as reads:
        made = next_checkpoint(reads, SIGNER, at)
    if made:
        store.write([lambda writes: writes.add_checkpoint(made)])
    return made


def verdict_on(store):
    with store.reading() as reads:
        return verify(reads, SIGNER.verifier)


def test_what_was_received_verifies(running, store, beats):
    checkpoint(store, running.clock())

    verdict = verdict_on(store)

    assert verdict.problems == []
    assert (verdict.n_batches, verdict.n_checkpoints, verdict.n_given_up) == (5, 1, 0)
    assert verdict.n_records == 20 + 10 + 5 + 3 + 8


def test_checkpoint_is_what_the_specifications_say(running, store, beats):
    """RFC 6962 section 2.1 by its recursive definition; C2SP signed note and checkpoint by hand."""
    with store.reading() as reads:
        leaves = [leaf_of(batch) for batch in reads.batches()]

    made = checkpoint(store, running.clock())

    assert made.root == naive_root(leaves).hex()
    text, signature = made.note.split("\n\n")
    root = base64.b64encode(naive_root(leaves)).decode()
    with store.reading() as reads:
        (entry,) = reads.audit()
    assert text.split("\n") == [SIGNER.origin, "5", root, f"audit {entry.position} {entry.chain}"]
    dash, name, encoded = signature.rstrip("\n").split(" ")
    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    raw = base64.b64decode(encoded)
    assert (dash, name) == ("—", SIGNER.origin)
    assert raw[:4] == hashlib.sha256(SIGNER.origin.encode() + b"\n\x01" + public).digest()[:4]
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], text.encode() + b"\n")
    assert not is_signed(made.note.replace("\n5\n", "\n4\n"), SIGNER.verifier)


def test_checkpoints_are_continued_from_the_last(running, store, tools, sender, beats):
    checkpoint(store, running.clock())
    assert checkpoint(store, running.clock()) is None
    sender.send([tools.Scope(sender).event()], spool_id="later")

    made = checkpoint(store, running.clock())

    with store.reading() as reads:
        assert made.root == naive_root([leaf_of(batch) for batch in reads.batches()]).hex()
    assert (verdict_on(store).problems, verdict_on(store).n_checkpoints) == ([], 2)


@pytest.mark.parametrize("n_leaves", [0, 1, 2, 3, 4, 5, 7, 8, 31, 33])
def test_tree_grows_to_the_root_of_the_definition(n_leaves):
    leaves = [bytes([number]) for number in range(n_leaves)]
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
        tree = Tree(tree.n_leaves, tree.edge)
    assert tree.root == naive_root(leaves)


def naive_root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


TAMPERINGS = {
    "a body": (
        "UPDATE batches SET body = (SELECT o.body FROM batches o WHERE o.batch_id = 2) WHERE batch_id = 1",
        "signature",
    ),
    "a chain": ("UPDATE batches SET chain = prev WHERE batch_id = 2", "not those"),
    "a header": ("UPDATE batches SET prev = chain WHERE batch_id = 2", "not the one that was signed"),
    "a batch gone": ("DELETE FROM batches WHERE batch_id = 2", "Batch 2 is missing"),
    "the last batch gone": ("DELETE FROM batches WHERE batch_id = 5", "there are 4"),
    "a batch of another": (
        "UPDATE batches SET spool_key = 2 WHERE batch_id = 2",
        "does not continue|overlaps|stand",
    ),
    "a mark": ("UPDATE spools SET mark = mark - 1", "does not stand"),
    "a spool gone": (
        "DELETE FROM spools WHERE spool_id = 'nobody'; UPDATE spools SET chain = 'x'",
        "does not stand",
    ),
    "a root": ("UPDATE checkpoints SET root = edge || 'x'", "another root"),
    "a number": ("UPDATE checkpoints SET n_batches = 4", "number than was signed"),
    "a note": ("UPDATE checkpoints SET note = replace(note, 'basel', 'x')", "not signed"),
    "a note that is none": ("UPDATE checkpoints SET note = 'x'", "not signed"),
    "the audit log": ("DELETE FROM audit", "was cut off"),
}


@pytest.mark.parametrize(("statements", "complaint"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_is_noticed(running, store, beats, statements, complaint):
    checkpoint(store, running.clock())
    with closing(tamperer(store)) as tamper:
        for statement in statements.split(";"):
            tamper(statement)

    problems = " ".join(verdict_on(store).problems)

    assert any(word in problems for word in complaint.split("|")), problems


def audited(store, at, *details):
    for detail in details:
        entry = AuditEntry(at, "ada", "rule changed", "done", detail)
        store.write([lambda writes, entry=entry: writes.add_audit(entry)])


def test_audit_log_may_grow_after_a_checkpoint_but_its_end_cannot_be_replaced(running, store, beats):
    """An entry cut off at the end and another put in its place leaves a chain that fits in itself."""
    audited(store, running.clock(), "limit raised")
    checkpoint(store, running.clock())
    audited(store, running.clock(), "later")
    assert verdict_on(store).problems == []

    tamper = tamperer(store)
    for detail in ("later", "limit raised"):
        tamper(f"DELETE FROM audit WHERE detail = '{detail}'")
    (problem,) = verdict_on(store).problems
    assert "was cut off" in problem
    audited(store, running.clock(), "nothing happened", "later")

    (problem,) = verdict_on(store).problems
    assert (
        "was written anew" in problem or "was cut off" in problem
    )  # PostgreSQL never gives a position twice


def test_kept_checkpoint_tells_when_the_stores_own_were_removed_too(running, store, beats):
    audited(store, running.clock(), "limit raised")
    kept = checkpoint(store, running.clock()).note
    tamper = tamperer(store)
    tamper("DELETE FROM audit WHERE detail = 'limit raised'")
    tamper("DELETE FROM checkpoints")
    assert verdict_on(store).problems == []  # nothing in the store itself can tell

    with store.reading() as reads:
        (problem,) = verify(reads, SIGNER.verifier, [kept]).problems
        assert "was cut off" in problem
        forged = kept.replace("audit 2", "audit 1")
        assert "not signed" in verify(reads, SIGNER.verifier, [forged]).problems[0]


class tamperer:
    """Changes a store past its contract."""

    def __init__(self, store):
        self._store = store

    def __call__(self, statement):
        (outcome,) = self._store.write([lambda writes: writes._connection.do(statement)])
        assert not hasattr(outcome, "error"), outcome

    def close(self):
        pass


def test_what_is_given_up_leaves_a_store_that_verifies(running, store, sender, beats):
    checkpoint(store, running.clock())
    with store.reading() as reads:
        old = reads.old_records("heartbeat", running.clock() + timedelta(1))
    chosen = random.Random(3).sample(old, 15)

    (outcome,) = store.write([lambda writes: writes.prune(chosen)])

    newest = str(beats[-1].record_id)
    n_spared = sum(one.record_id == newest for one in chosen)
    assert outcome.value == len(chosen) - n_spared
    verdict = verdict_on(store)
    assert (verdict.problems, verdict.n_given_up) == ([], len(chosen) - n_spared)
    gone = {one.record_id for one in chosen} - {newest}
    for beat in beats[:20]:
        answer = running.get(f"/v1/records/{beat.record_id}/raw")
        assert answer.status_code == (404 if str(beat.record_id) in gone else 200)
        assert answer.status_code == 404 or answer.content == encode(beat)


def test_whole_batches_are_given_up_and_the_agent_goes_on(running, store, tools, sender, beats):
    with store.reading() as reads:
        old = reads.old_records("heartbeat", running.clock() + timedelta(1))
    store.write([lambda writes: writes.prune(old)])

    with store.reading() as reads:
        bodies = [batch.body is None for batch in reads.batches()]
    assert bodies == [
        True,
        False,
        False,
        False,
        False,
    ]  # the second repeats lines of the first, which were filed there
    assert verdict_on(store).problems == []
    scope = tools.Scope(sender, boot_id="next")
    chain = sender.cursor("again").json()["chain"]
    reply = sender.send([scope.event()], spool_id="again", first_seq=4, prev=chain)
    assert (reply.status_code, reply.json()["acked"]) == (200, 4)
    assert verdict_on(store).problems == []


def test_halving_finds_what_going_through_all_finds(running, store, tools, sender):
    scope = tools.Scope(sender)
    for n_records in (3, 1, 5, 2, 4):
        sender.send([scope.heartbeat() for _ in range(n_records)], spool_id=f"of-{n_records}")
        running.clock.later(minutes=10)
    with store.reading() as reads:
        old = reads.old_records("heartbeat", running.clock(), after=4, limit=4)
    store.write([lambda writes: writes.prune(old)])
    with store.reading() as reads:
        received = {one.batch_id: one.received_at for one in reads.batches()}
        arrived = [(row.position, received[row.batch_id]) for row in reads.records(limit=100)]
        moments = [at + timedelta(seconds=late) for _, at in arrived for late in (-1, 0, 1)]

        found = [reads.last_received_before(moment) for moment in moments]

    assert found == [max((p for p, at in arrived if at < moment), default=0) for moment in moments]
    assert {0, arrived[-1][0]} < set(found)


def test_retention_keeps_the_first_of_each_hour_and_all_quality(running, store, tools, sender, monkeypatch):
    scope = tools.Scope(sender, start_at=running.clock() - timedelta(days=1))
    lines, chain = [], None
    for minute in range(180):
        lines.append(scope.heartbeat())
        scope.later(60)
        if minute % 60 == 30:
            lines.append(scope.qc())
    sender.send(lines)
    running.clock.later(days=31)
    sender.send([scope.heartbeat()], spool_id="new")
    rules = RetentionSettings(thin_heartbeats_after_days=30, drop_heartbeats_after_days=0)

    assert retention.count(store, rules, running.clock()) == {
        "thin heartbeat": 177, "thin state_snapshot": 0, "drop agent_event": 0,
    }  # fmt: skip
    monkeypatch.setattr(retention, "_AT_ONCE", 50)
    times = iter([True, True, False])
    some = retention.apply(
        store, rules, running.clock(), running.collector.writer.do, lambda: next(times, False)
    )
    rest = retention.apply(store, rules, running.clock(), running.collector.writer.do)

    assert some["thin heartbeat"] + rest["thin heartbeat"] == 177
    assert some["thin heartbeat"] == 98, "two transactions of 50, of which the first of each hour is kept"
    with store.reading() as reads:
        kept = [row.captured_at.minute for row in reads.records("scope-1", "heartbeat")]
        assert len(reads.records("scope-1", "qc_result")) == 3
    assert kept[:3] == [0, 0, 0]
    assert retention.apply(store, rules, running.clock(), running.collector.writer.do)["thin heartbeat"] == 0
    assert (chain, verdict_on(store).problems) == (None, [])


def test_store_copied_there_and_back_is_the_same(
    running, store, tools, sender, beats, tmp_path, new_database, postgres_store
):
    checkpoint(store, running.clock())
    running.token()
    with (
        closing(SqliteStore(tmp_path / "one")) as one,
        closing(postgres_store(new_database())) as two,
        closing(SqliteStore(tmp_path / "three")) as three,
    ):
        copied = [list(copy_store(a, b)) for a, b in ((store, one), (one, two), (two, three))]

        assert copied[0] == copied[1] == copied[2]
        counts = {table.table: table.n_rows for table in copied[0]}
        assert (counts["batches"], counts["qc_runs"], counts["quarantine"]) == (5, 1, 1)
        assert verdict_on(three).problems == verdict_on(two).problems == []
        with pytest.raises(SettingsError, match="empty"):
            list(copy_store(store, two))


def test_copy_goes_on_where_the_original_stood(
    running_on, running, store, tools, sender, beats, new_database, postgres_store
):
    with closing(postgres_store(new_database())) as copy:
        list(copy_store(store, copy))
        on = Collector.on(copy, Settings(), running.clock)
        moved = running_on(copy)
        sender.client = moved.client
        scope = tools.Scope(sender, boot_id="next")
        chain = sender.cursor("spool-a").json()["chain"]

        reply = sender.send([scope.heartbeat(), scope.qc()], first_seq=41, prev=chain)

        assert reply.json() | {"time": None} == {
            "acked": 42,
            "n_added": 2,
            "flagged": [],
            "time": None,
            "max_body_bytes": 1 << 20,
        }
        assert sender.send(beats[:20]).json()["n_added"] == 0
        assert verdict_on(copy).problems == []
        on.opening.shutdown()
        on.writer.close()


def test_every_column_is_copied(store):
    """Against the engine's own catalogue, so that a new column cannot be forgotten."""
    with store.reading() as reads:
        for table in TABLES:
            assert set(columns_in(reads, table.name)) == set(table.columns)
        listed = {table.name for table in TABLES} | {"records_other", "schema_version"}
        assert {name for name in tables_in(reads) if not name[-7:].replace("_", "").isdigit()} <= listed


def columns_in(reads, table):
    if "sqlite" in type(reads._connection).__name__.lower():
        return [row[1] for row in reads._connection.fetch(f"PRAGMA table_info({table})")]
    sql = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ?"
    )
    return [row[0] for row in reads._connection.fetch(sql, table)]


def tables_in(reads):
    if "sqlite" in type(reads._connection).__name__.lower():
        return [
            row[0] for row in reads._connection.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
    return [
        row[0]
        for row in reads._connection.fetch(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
        )
    ]


def test_snapshot_is_one_moment(store, running):
    with store.snapshot() as reads:
        before = digest(reads, TABLES[0])
        running.sender("scope-9")
        assert digest(reads, TABLES[0]) == before
    with store.reading() as reads:
        assert digest(reads, TABLES[0]) != before


def test_id_that_is_none_finds_nothing(store):
    assert to_uuid("not an id") is None
    with store.reading() as reads:
        assert (reads.record("x"), reads.acquisition("x"), reads.qc_run("x"), reads.ledgers("x")) == (
            None,
            None,
            None,
            [],
        )
