"""Where PostgreSQL puts batches and records, asked of its own catalogue (`tableoid`)."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from agent.records import encode
from agent.records.wire import CHAIN_START
from server.ingest import file_lines
from server.store.partitions import BATCHES_EACH, first_id
from server.store.rows import Agent, Batch, Instrument

AT = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def address(new_database) -> str:
    return new_database()


@pytest.fixture
def store(address, postgres_store):
    with closing(postgres_store(address)) as store:
        yield store


@pytest.fixture
def log(tools, store):
    """Give a spool that records with chosen ids are appended to."""
    return Spool(tools, store)


class Spool:
    def __init__(self, tools, store) -> None:
        self.store, self.chain_over = store, tools.chain_over
        self.sender = tools.Sender(client=None)
        self.scope = tools.Scope(self.sender, start_at=AT - timedelta(hours=1))
        self.seq, self.chain = 1, CHAIN_START
        self.agent = Agent(
            self.sender.agent_id, self.sender.public_key, self.sender.instrument_id, "pc", "Linux", "0.1", AT
        )
        instrument = Instrument(self.sender.instrument_id, "Spinning disk", "Basel", AT)
        store.write([lambda w: w.put_instrument(instrument), lambda w: w.put_agent(self.agent)])

    def append(self, *record_ids: UUID, at: datetime = AT) -> int:
        """Append heartbeats with these ids and return how many lines were taken."""
        lines = [encode(self.scope.heartbeat().model_copy(update={"record_id": one})) for one in record_ids]
        body = b"".join(line + b"\n" for line in lines)
        filed = file_lines(body, self.seq, len(lines), self.chain, self.agent)
        batch = Batch(
            agent_id=self.agent.agent_id, spool_id="spool", first_seq=self.seq, prev=self.chain, skipped_from=None,
            lines=filed, path="/v1/ingest", headers={}, body=body, received_at=at,
        )  # fmt: skip
        (outcome,) = self.store.write([batch])
        self.seq, self.chain = self.seq + len(lines), filed[-1].chain
        return outcome.value.n_added


def minted(moment: datetime, number: int = 1) -> UUID:
    """Return an id of version 7 (RFC 9562, section 5.7)."""
    return UUID(int=first_id(moment).int | 0x7 << 76 | 0b10 << 62 | number)


def asked(address: str, sql: str) -> list[tuple[object, ...]]:
    from server.store.postgresql_connection import PostgresConnection

    with closing(PostgresConnection(address)) as connection:
        return connection.fetch(sql)


def partitions(address: str) -> dict[str, str]:
    return {
        str(one): part
        for one, part in asked(address, "SELECT record_id, tableoid::regclass::text FROM records")
    }


def test_records_lie_by_the_month_their_id_tells_and_strange_ids_together(log, address):
    last_of_may, first_of_june = minted(JUNE - timedelta(milliseconds=1)), minted(JUNE)
    strange = [
        uuid4(),
        uuid5(uuid4(), "x"),
        minted(datetime(1998, 1, 1, tzinfo=UTC)),
        minted(datetime(2031, 1, 1, tzinfo=UTC)),
    ]

    log.append(last_of_may, first_of_june, *strange)

    assert partitions(address) == {
        str(last_of_may): "records_2026_05",
        str(first_of_june): "records_2026_06",
        **{str(one): "records_other" for one in strange},
    }
    with log.store.reading() as reads:
        assert {
            row.record_id for row in reads.records_named([*map(str, strange), str(last_of_may)]).values()
        } == {*map(str, strange), str(last_of_may)}
        assert [row.record_id for row in reads.records()] == list(
            map(str, (last_of_may, first_of_june, *strange))
        )


def test_records_that_were_ahead_of_their_month_go_where_they_belong_when_it_comes(log, address):
    ahead, again = minted(datetime(2026, 9, 10, tzinfo=UTC)), datetime(2026, 9, 12, tzinfo=UTC)
    log.append(ahead, minted(MAY))
    assert partitions(address)[str(ahead)] == "records_other"

    log.append(minted(again), ahead, at=again)

    held = partitions(address)
    assert (held[str(ahead)], held[str(minted(again))]) == ("records_2026_09", "records_2026_09")
    ((n,),) = asked(address, f"SELECT count(*) FROM records WHERE record_id = '{ahead}'")
    assert n == 1
    with log.store.reading() as reads:
        assert [row.record_id for row in reads.records()] == [
            str(ahead),
            str(minted(MAY)),
            str(minted(again)),
        ]


def test_batches_go_on_in_the_next_partition_when_one_is_full(log, address):
    log.store.write(
        [lambda writes: writes._connection.do(f"UPDATE counters SET batch_id = {BATCHES_EACH - 2}")]
    )

    for number in range(4):
        log.append(minted(MAY, number))

    found = asked(address, "SELECT batch_id, tableoid::regclass::text FROM batches ORDER BY batch_id")
    assert found == [
        (BATCHES_EACH - 1, "batches_0000000"),
        *((BATCHES_EACH + number, "batches_0000001") for number in range(3)),
    ]
    with log.store.reading() as reads:
        assert [batch.batch_id for batch in reads.batches()] == [number for number, _ in found]
        assert [row.seq for row in reads.records()] == [1, 2, 3, 4]


def test_paging_by_position_is_in_order_across_partitions_and_hundreds(log):
    months = [MAY, JUNE, datetime(1998, 1, 1, tzinfo=UTC)]
    ids = [minted(months[number % 3], number) for number in range(300)]
    for start in range(0, 300, 50):
        log.append(*ids[start : start + 50])

    with log.store.reading() as reads:
        rows, after = [], 0
        while page := reads.records(kind="heartbeat", after=after, limit=37):
            rows += page
            after = page[-1].position
        newest = reads.recent(log.sender.instrument_id, "heartbeat", limit=5, before=rows[-3].position)

    assert [row.record_id for row in rows] == list(map(str, ids))
    assert [row.record_id for row in newest] == list(map(str, reversed(ids[-8:-3])))


def test_groups_of_records_use_up_no_numbers_of_kinds(log, address):
    for number in range(5):
        log.append(minted(MAY, number))

    log.store.write([lambda writes: writes._connection.do("INSERT INTO kinds (kind) VALUES ('another')")])

    assert asked(address, "SELECT kind_key FROM kinds ORDER BY kind_key") == [(1,), (2,)]


def test_a_record_that_comes_again_is_kept_once_among_new_ones(log, address):
    first, second, third = (minted(MAY, number) for number in range(3))
    log.append(first, second)

    log.append(third, first, third, uuid4())

    assert len(partitions(address)) == 4
    with log.store.reading() as reads:
        assert [row.seq for row in reads.records()] == [1, 2, 3, 6]
