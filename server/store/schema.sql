-- Times are text in UTC with microseconds, so that they sort. Bodies stay as they were received.
CREATE TABLE instruments (
    instrument_id TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    site          TEXT NOT NULL,
    added_at      TEXT NOT NULL
);
CREATE TABLE agents (
    agent_id      TEXT PRIMARY KEY,
    public_key    BLOB NOT NULL,
    instrument_id TEXT NOT NULL REFERENCES instruments,
    hostname      TEXT NOT NULL,
    platform      TEXT NOT NULL,
    version       TEXT NOT NULL,
    enrolled_at   TEXT NOT NULL,
    heard_at      TEXT,
    revoked_at    TEXT
);
CREATE TABLE join_codes (
    code_sha256     TEXT PRIMARY KEY,
    instrument_name TEXT NOT NULL,
    site            TEXT NOT NULL,
    instrument_id   TEXT,
    made_by         TEXT NOT NULL,
    made_at         TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    used_by         TEXT,
    used_at         TEXT
);
CREATE TABLE users (
    name     TEXT PRIMARY KEY,
    role     TEXT NOT NULL,
    password TEXT,
    added_at TEXT NOT NULL
);
CREATE TABLE grants (
    secret_sha256 TEXT PRIMARY KEY,
    purpose       TEXT NOT NULL CHECK (purpose IN ('session', 'token', 'link')),
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    made_at       TEXT NOT NULL,
    expires_at    TEXT
);
CREATE TABLE audit (
    position INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    who      TEXT NOT NULL,
    action   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    address  TEXT NOT NULL
);
CREATE TABLE documents (
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE entries (
    position      INTEGER PRIMARY KEY,
    entry_id      TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,
    at            TEXT NOT NULL,
    by            TEXT NOT NULL,
    body          TEXT NOT NULL,
    instrument_id TEXT,
    subject       TEXT
);
CREATE INDEX entries_of_instrument ON entries (instrument_id, kind);
CREATE INDEX entries_on_subject ON entries (subject, kind);
CREATE TABLE attachments (
    sha256     TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    content    BLOB NOT NULL
);
CREATE TABLE spools (
    spool_key         INTEGER PRIMARY KEY,
    agent_id          TEXT NOT NULL,
    spool_id          TEXT NOT NULL,
    mark              INTEGER NOT NULL,
    chain             TEXT NOT NULL,
    n_skipped         INTEGER NOT NULL DEFAULT 0,
    first_received_at TEXT NOT NULL,
    last_received_at  TEXT NOT NULL,
    UNIQUE (agent_id, spool_id)
);
CREATE TABLE skips (
    spool_key INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    chain     TEXT NOT NULL,
    noted_at  TEXT NOT NULL,
    PRIMARY KEY (spool_key, last_seq)
) WITHOUT ROWID;
CREATE TABLE batches (
    batch_id    INTEGER PRIMARY KEY,
    spool_key   INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    n_lines     INTEGER NOT NULL,
    path        TEXT NOT NULL,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL,
    received_at TEXT NOT NULL
);
-- Every sequence number ever taken: where its bytes are, and the chain value after it.
CREATE TABLE lines (
    spool_key INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    batch_id  INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    chain     BLOB NOT NULL,
    PRIMARY KEY (spool_key, seq)
) WITHOUT ROWID;
-- Every record understood, once.
CREATE TABLE records (
    position       INTEGER PRIMARY KEY,
    record_id      TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL,
    schema_version TEXT NOT NULL,
    instrument_id  TEXT NOT NULL,
    acquisition_id TEXT,
    captured_at    TEXT NOT NULL,
    received_at    TEXT NOT NULL,
    spool_key      INTEGER NOT NULL,
    seq            INTEGER NOT NULL
);
CREATE INDEX records_by_kind ON records (instrument_id, kind, position);
CREATE TABLE quarantine (
    position    INTEGER PRIMARY KEY,
    spool_key   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    message     TEXT NOT NULL,
    kind        TEXT,
    record_id   TEXT,
    received_at TEXT NOT NULL
);
CREATE TABLE latest (
    instrument_id TEXT NOT NULL,
    kind          TEXT NOT NULL,
    record_id     TEXT NOT NULL,
    captured_at   TEXT NOT NULL,
    counts_at     TEXT NOT NULL,
    boot_id       TEXT NOT NULL,
    monotonic_ns  INTEGER NOT NULL,
    received_at   TEXT NOT NULL,
    raw           BLOB NOT NULL,
    PRIMARY KEY (instrument_id, kind)
);
CREATE TABLE changes (
    position       INTEGER PRIMARY KEY,
    record_id      TEXT NOT NULL,
    instrument_id  TEXT NOT NULL,
    acquisition_id TEXT,
    device         TEXT NOT NULL,
    last_at        TEXT NOT NULL,
    change         TEXT NOT NULL
);
CREATE INDEX changes_by_time ON changes (instrument_id, last_at, position);
CREATE TABLE acquisitions (
    position           INTEGER PRIMARY KEY,
    acquisition_id     TEXT NOT NULL UNIQUE,
    instrument_id      TEXT NOT NULL,
    began_at           TEXT NOT NULL,
    started_at         TEXT,
    finished_at        TEXT,
    reason             TEXT,
    n_expected         INTEGER,
    n_seen             INTEGER,
    n_dropped          INTEGER,
    n_in_ledger        INTEGER NOT NULL DEFAULT 0,
    n_files            INTEGER,
    n_stamped          INTEGER,
    n_problems         INTEGER,
    started_record_id  TEXT,
    finished_record_id TEXT,
    stamp_record_id    TEXT
);
CREATE INDEX acquisitions_by_time ON acquisitions (instrument_id, began_at, position);
CREATE TABLE ledgers (
    acquisition_id TEXT NOT NULL,
    first_frame    INTEGER NOT NULL,
    record_id      TEXT NOT NULL,
    n_frames       INTEGER NOT NULL,
    PRIMARY KEY (acquisition_id, first_frame, record_id)
) WITHOUT ROWID;
