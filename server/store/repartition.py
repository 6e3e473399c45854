"""The step to schema 9 in PostgreSQL.

Batches go from partitions by month of receipt to partitions by number, records from the same to partitions by id, and
`record_ids`, which told where a record is, goes away: `server.store.partitions`.
"""

from __future__ import annotations

from server.store.parts import Part

_SET_ASIDE = r"""
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_class WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'batches'::regclass)
            AND relname ~ '^(batches|records)(_|$)' AND relkind IN ('r', 'p', 'i', 'I')
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, 'old_' || name);
    END LOOP;
END $$;
CREATE TABLE batches (
    batch_id       bigint NOT NULL,
    spool_key      bigint NOT NULL,
    instrument_key bigint NOT NULL,
    first_seq      bigint NOT NULL,
    last_seq       bigint NOT NULL,
    n_known        bigint NOT NULL,
    prev           text NOT NULL,
    chain          text NOT NULL,
    path           text NOT NULL,
    headers        text NOT NULL,
    received_at    timestamptz NOT NULL,
    body_sha256    text,
    body           bytea,
    PRIMARY KEY (batch_id)
) PARTITION BY RANGE (batch_id);
ALTER TABLE batches ALTER COLUMN body SET STORAGE EXTERNAL;
DO $$
BEGIN
    FOR n IN 0 .. (SELECT batch_id / 10000000 FROM counters) LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF batches FOR VALUES FROM (%s) TO (%s)',
            'batches_' || lpad(n::text, 7, '0'), n::bigint * 10000000, (n::bigint + 1) * 10000000);
    END LOOP;
END $$;
"""
_BATCHES = """
INSERT INTO batches SELECT batch_id, spool_key, instrument_key, first_seq, last_seq, n_known, prev, chain, path, headers,
    received_at, body_sha256, body FROM old_batches WHERE batch_id BETWEEN ? AND ? ORDER BY batch_id
"""
_MONTHS = """
DROP TABLE old_batches;
CREATE INDEX batches_by_spool ON batches (spool_key, last_seq);
CREATE TABLE records (
    position       bigint NOT NULL,
    captured_at    timestamptz NOT NULL,
    batch_id       bigint NOT NULL,
    record_id      uuid NOT NULL,
    instrument_key integer NOT NULL,
    kind_key       smallint NOT NULL,
    line           smallint NOT NULL,
    schema_version text,
    acquisition_id uuid,
    PRIMARY KEY (record_id)
) PARTITION BY RANGE (record_id);
CREATE TABLE records_other PARTITION OF records DEFAULT;
DO $$
DECLARE
    month timestamp;
    bounds uuid[];
BEGIN
    FOR month IN SELECT generate_series(timestamp '2020-01-01', now() AT TIME ZONE 'UTC', interval '1 month') LOOP
        SELECT array_agg((lpad(to_hex((extract(epoch FROM one) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid ORDER BY one)
            INTO bounds FROM unnest(ARRAY[month, month + interval '1 month']) AS one;
        IF EXISTS (SELECT FROM record_ids WHERE record_id >= bounds[1] AND record_id < bounds[2]
                AND substr(record_id::text, 15, 1) = '7') THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF records FOR VALUES FROM (%L) TO (%L)',
                'records_' || to_char(month, 'YYYY_MM'), bounds[1], bounds[2]);
        END IF;
    END LOOP;
END $$;
"""
_RECORDS = """
INSERT INTO records SELECT position, captured_at, batch_id, record_id, instrument_key, kind_key, line,
    nullif(schema_version, '1.0'), acquisition_id FROM old_records WHERE position BETWEEN ? AND ? ORDER BY position
"""
_POSITIONS = """
DROP TABLE old_records, record_ids;
CREATE INDEX records_by_position ON records ((position >> 7));
"""
# The numbers of kinds were used up, one a transaction: those of records are short.
_KINDS = """
CREATE INDEX records_by_kind ON records (instrument_key, kind_key, (position >> 7));
SELECT setval(pg_get_serial_sequence('kinds', 'kind_key'), greatest(max(kind_key), 1)) FROM kinds;
"""

REPARTITION = (
    Part("Old tables are set aside", _SET_ASIDE),
    Part(
        "Batches",
        _BATCHES,
        numbers="SELECT min(batch_id), max(batch_id) FROM old_batches",
        n_at_once=2_000,
        writes_anew=("batches",),
    ),
    Part("Months of the records", _MONTHS),
    Part(
        "Records",
        _RECORDS,
        numbers="SELECT min(position), max(position) FROM old_records",
        n_at_once=100_000,
        writes_anew=("records", "record_ids"),
    ),
    Part("Index of positions", _POSITIONS),
    Part("Index of kinds", _KINDS),
    Part("Statistics for the planner", "ANALYZE batches; ANALYZE records;"),
)
