"""Several collector processes on one PostgreSQL; one is killed while agents send to both."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import httpx
import pytest

from server.errors import RefusedError
from server.keeping.verify import verify
from server.store.rows import Agent, Instrument

N_BATCHES, N_RECORDS = 30, 4


@contextmanager
def collector(data, log):
    command = [sys.executable, "-m", "server", "run", "--json", "--port", "0", "--data", str(data)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, log.read_text(encoding="utf-8")
            yield process, json.loads(line)["url"]
        finally:
            process.kill()


def deliver(tools, sender, urls, batches, dead):
    """Send like an agent: to the other collector when one does not answer, again and again until acknowledged."""
    turn, seq, prev = 0, 1, tools.wire.CHAIN_START
    clients = [httpx.Client(base_url=url, timeout=60, trust_env=False) for url in urls]
    for number, batch in enumerate(batches):
        while True:
            turn += 1
            sender.client = clients[turn % 2]
            try:
                reply = sender.send(batch, first_seq=seq, prev=prev)
            except httpx.TransportError:
                continue
            if reply.status_code == 200:
                assert reply.json()["acked"] == seq + len(batch) - 1
                break
            assert reply.status_code == 503, reply.text
        seq, prev = seq + len(batch), tools.chain_over(batch, prev)
        if number == N_BATCHES // 3:
            dead.release()
    for client in clients:
        client.close()


def test_document_that_two_collectors_change_at_once_is_changed_by_one(new_database, postgres_store, clock):
    address, is_written = new_database(), threading.Event()

    def change(writes):
        return writes.put_document("kind", "key", "{}", clock(), "ada", replaces=1)

    def change_slowly(writes):
        document = change(writes)
        is_written.set()
        # Until the other has read version 1 and waits for this commit.
        while not writes._connection.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
            pass
        return document

    with closing(postgres_store(address)) as one, closing(postgres_store(address)) as other:
        one.write([lambda writes: writes.put_document("kind", "key", "{}", clock(), "ada")])
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.extend(one.write([change_slowly])))
        thread.start()
        assert is_written.wait(30)
        (refused,) = other.write([change])
        thread.join()
        (unconditional,) = other.write(
            [lambda writes: writes.put_document("kind", "key", "1", clock(), "eve")]
        )
    assert [done.value.version for done in outcomes] == [2]
    assert isinstance(refused.error, RefusedError) and refused.error.refusal.error == "changed_meanwhile"
    assert unconditional.value.version == 3


@pytest.mark.faults
def test_one_of_two_collectors_is_killed_and_nothing_is_lost(
    new_database, postgres_store, tools, tmp_path, clock
):
    address = new_database()
    senders = [tools.Sender(None, f"scope-{n}") for n in range(3)]
    sent = {}
    with closing(postgres_store(address)) as store:
        for sender in senders:
            agent = Agent(
                sender.agent_id, sender.public_key, sender.instrument_id, "pc", "Linux", "0.1", clock()
            )
            store.write(
                [
                    lambda w, s=sender: w.put_instrument(Instrument(s.instrument_id, "x", "y", clock())),
                    lambda w, a=agent: w.put_agent(a),
                ]
            )
            scope = tools.Scope(sender)
            sent[sender.agent_id] = [[scope.heartbeat() for _ in range(N_RECORDS)] for _ in range(N_BATCHES)]
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
            (folder / "server.toml").write_text(
                f"[store]\npostgresql = {json.dumps(address)}\n", encoding="utf-8"
            )
        with (
            collector(folders[0], tmp_path / "one.log") as (victim, first),
            collector(folders[1], tmp_path / "two.log") as (_, second),
        ):
            dead, threads = threading.Semaphore(0), []
            for sender in senders:
                urls, batches = (first, second), sent[sender.agent_id]
                threads.append(threading.Thread(target=deliver, args=(tools, sender, urls, batches, dead)))
                threads[-1].start()
            dead.acquire()
            victim.kill()
            for thread in threads:
                thread.join()
        with store.reading() as reads:
            assert verify(reads).problems == []
            assert {spool.mark for spool in reads.spools()} == {N_BATCHES * N_RECORDS}
            for sender in senders:
                held = [row.record_id for row in reads.records(sender.instrument_id, limit=1000)]
                assert held == [str(one.record_id) for batch in sent[sender.agent_id] for one in batch]
