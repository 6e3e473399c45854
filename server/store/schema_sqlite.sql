-- Times are microseconds since 1970 in UTC, record and acquisition ids are their 16 bytes. Bodies stay as they were received.
CREATE TABLE instruments (
    instrument_key INTEGER PRIMARY KEY,
    instrument_id  TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    site           TEXT NOT NULL,
    added_at       INTEGER NOT NULL,
    model          TEXT NOT NULL DEFAULT ''
);
CREATE TABLE agents (
    agent_id      TEXT PRIMARY KEY,
    public_key    BLOB NOT NULL,
    instrument_id TEXT NOT NULL REFERENCES instruments (instrument_id),
    hostname      TEXT NOT NULL,
    platform      TEXT NOT NULL,
    version       TEXT NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    heard_at      INTEGER,
    revoked_at    INTEGER
);
CREATE INDEX agents_by_instrument ON agents (instrument_id);
CREATE TABLE join_codes (
    code_sha256     TEXT PRIMARY KEY,
    instrument_name TEXT NOT NULL,
    site            TEXT NOT NULL,
    instrument_id   TEXT,
    made_by         TEXT NOT NULL,
    made_at         INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    used_by         TEXT,
    used_at         INTEGER
);
CREATE TABLE users (
    name     TEXT PRIMARY KEY,
    role     TEXT NOT NULL,
    password TEXT,
    added_at INTEGER NOT NULL,
    scope    TEXT NOT NULL DEFAULT '',
    ends_at  INTEGER,
    subject  TEXT NOT NULL DEFAULT ''
);
CREATE TABLE grants (
    secret_sha256 TEXT PRIMARY KEY,
    purpose       TEXT NOT NULL CHECK (purpose IN ('session', 'token', 'link')),
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    made_at       INTEGER NOT NULL,
    expires_at    INTEGER,
    scope         TEXT NOT NULL DEFAULT ''
);
CREATE TABLE audit (
    position INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    who      TEXT NOT NULL,
    action   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    address  TEXT NOT NULL,
    chain    TEXT NOT NULL DEFAULT ''
);
CREATE TABLE documents (
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE entries (
    position      INTEGER PRIMARY KEY,
    entry_id      TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,
    at            INTEGER NOT NULL,
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
-- One row. Numbers are given out in the transaction that uses them: without gaps, in the order of commit, never again.
CREATE TABLE counters (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    batch_id INTEGER NOT NULL,
    position INTEGER NOT NULL
);
INSERT INTO counters VALUES (1, 0, 0);
CREATE TABLE spools (
    spool_key         INTEGER PRIMARY KEY,
    agent_id          TEXT NOT NULL,
    spool_id          TEXT NOT NULL,
    mark              INTEGER NOT NULL,
    chain             TEXT NOT NULL,
    n_skipped         INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER NOT NULL,
    last_received_at  INTEGER NOT NULL,
    UNIQUE (agent_id, spool_id)
);
CREATE TABLE skips (
    spool_key INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    chain     TEXT NOT NULL,
    noted_at  INTEGER NOT NULL,
    PRIMARY KEY (spool_key, last_seq)
) WITHOUT ROWID;
CREATE TABLE batches (
    batch_id       INTEGER PRIMARY KEY,
    spool_key      INTEGER NOT NULL,
    instrument_key INTEGER NOT NULL,
    first_seq      INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL,
    n_known        INTEGER NOT NULL,
    prev           TEXT NOT NULL,
    chain          TEXT NOT NULL,
    path           TEXT NOT NULL,
    headers        TEXT NOT NULL,
    received_at    INTEGER NOT NULL,
    body_sha256    TEXT,
    body           BLOB
);
CREATE INDEX batches_by_spool ON batches (spool_key, last_seq);
CREATE TABLE kinds (
    kind_key INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL UNIQUE
);
-- Every record understood, once.
CREATE TABLE records (
    position       INTEGER PRIMARY KEY,
    record_id      BLOB NOT NULL UNIQUE,
    kind_key       INTEGER NOT NULL,
    schema_version TEXT NOT NULL,
    instrument_key INTEGER NOT NULL,
    captured_at    INTEGER NOT NULL,
    batch_id       INTEGER NOT NULL,
    line           INTEGER NOT NULL,
    acquisition_id BLOB
);
CREATE INDEX records_by_kind ON records (instrument_key, kind_key, position);
CREATE TABLE quarantine (
    position    INTEGER PRIMARY KEY,
    batch_id    INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    message     TEXT NOT NULL,
    kind        TEXT,
    name        TEXT,
    received_at INTEGER NOT NULL
);
CREATE TABLE latest (
    instrument_key INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    record_id      BLOB NOT NULL,
    captured_at    INTEGER NOT NULL,
    counts_at      INTEGER NOT NULL,
    boot_id        TEXT NOT NULL,
    monotonic_ns   INTEGER NOT NULL,
    received_at    INTEGER NOT NULL,
    raw            BLOB NOT NULL,
    PRIMARY KEY (instrument_key, kind)
);
CREATE TABLE changes (
    position       INTEGER PRIMARY KEY,
    record_id      BLOB NOT NULL,
    instrument_key INTEGER NOT NULL,
    acquisition_id BLOB,
    device         TEXT NOT NULL,
    last_at        INTEGER NOT NULL,
    change         TEXT NOT NULL,
    property       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX changes_by_record ON changes (record_id);
-- These two alone answer what changed when: thousands of changes are counted where the rows lie all over the file.
CREATE INDEX changes_by_time ON changes (instrument_key, last_at, position, device, property);
CREATE INDEX changes_by_device ON changes (instrument_key, device, last_at, position, property);
CREATE TABLE acquisitions (
    position           INTEGER PRIMARY KEY,
    acquisition_id     BLOB NOT NULL UNIQUE,
    instrument_key     INTEGER NOT NULL,
    began_at           INTEGER NOT NULL,
    started_at         INTEGER,
    finished_at        INTEGER,
    reason             TEXT,
    n_expected         INTEGER,
    n_seen             INTEGER,
    n_dropped          INTEGER,
    n_in_ledger        INTEGER NOT NULL DEFAULT 0,
    n_files            INTEGER,
    n_stamped          INTEGER,
    n_problems         INTEGER,
    started_record_id  BLOB,
    finished_record_id BLOB,
    stamp_record_id    BLOB,
    size_bytes         INTEGER
);
CREATE INDEX acquisitions_by_time ON acquisitions (instrument_key, began_at, position);
CREATE INDEX acquisitions_by_start ON acquisitions (began_at, position);
CREATE INDEX acquisitions_running ON acquisitions (instrument_key, began_at) WHERE finished_at IS NULL;
-- What acquisitions are looked for by: their datasets, and words (of file names, channels, people …), each once.
CREATE TABLE datasets (
    acquisition_id BLOB NOT NULL,
    path           TEXT NOT NULL,
    sha256         TEXT,
    stamped_sha256 TEXT,
    PRIMARY KEY (acquisition_id, path)
) WITHOUT ROWID;
CREATE INDEX datasets_by_hash ON datasets (sha256);
CREATE INDEX datasets_by_stamped_hash ON datasets (stamped_sha256);
CREATE TABLE terms (
    term_key INTEGER PRIMARY KEY,
    sort     TEXT NOT NULL,
    term     TEXT NOT NULL,
    UNIQUE (sort, term)
);
CREATE TABLE acquisition_terms (
    term_key       INTEGER NOT NULL,
    acquisition_id BLOB NOT NULL,
    PRIMARY KEY (term_key, acquisition_id)
) WITHOUT ROWID;
CREATE INDEX terms_of_acquisition ON acquisition_terms (acquisition_id, term_key);
CREATE TABLE ledgers (
    acquisition_id BLOB NOT NULL,
    first_frame    INTEGER NOT NULL,
    record_id      BLOB NOT NULL,
    n_frames       INTEGER NOT NULL,
    PRIMARY KEY (acquisition_id, first_frame, record_id)
) WITHOUT ROWID;
-- Quality control: one row a series with how it stands, one a run, one a figure of a run.
CREATE TABLE qc_series (
    instrument_key INTEGER NOT NULL,
    series_key     TEXT NOT NULL,
    routine        TEXT NOT NULL,
    light_path     TEXT NOT NULL,
    n_runs         INTEGER NOT NULL,
    record_id      BLOB NOT NULL,
    captured_at    INTEGER NOT NULL,
    status         TEXT NOT NULL,
    PRIMARY KEY (instrument_key, series_key)
);
CREATE INDEX qc_series_standing ON qc_series (instrument_key, status, captured_at);
CREATE TABLE qc_runs (
    position       INTEGER PRIMARY KEY,
    record_id      BLOB NOT NULL,
    instrument_key INTEGER NOT NULL,
    run_id         BLOB NOT NULL,
    series_key     TEXT NOT NULL,
    routine        TEXT NOT NULL,
    status         TEXT NOT NULL,
    captured_at    INTEGER NOT NULL,
    acquisition_id BLOB
);
CREATE INDEX qc_runs_by_time ON qc_runs (instrument_key, captured_at, position);
CREATE INDEX qc_runs_by_series ON qc_runs (instrument_key, series_key, captured_at, position);
CREATE INDEX qc_runs_by_id ON qc_runs (run_id);
CREATE INDEX qc_runs_by_acquisition ON qc_runs (acquisition_id) WHERE acquisition_id IS NOT NULL;
CREATE TABLE qc_figures (
    instrument_key INTEGER NOT NULL,
    series_key     TEXT NOT NULL,
    metric         TEXT NOT NULL,
    captured_at    INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    record_id      BLOB NOT NULL,
    status         TEXT NOT NULL,
    unit           TEXT,
    value          REAL,
    uncertainty    REAL,
    expected       REAL,
    baseline       REAL,
    lower_limit    REAL,
    upper_limit    REAL,
    PRIMARY KEY (instrument_key, series_key, metric, captured_at, position)
) WITHOUT ROWID;
-- Use: one row a session of a person, one a planned run of quality control that had the hardware.
CREATE TABLE usage_sessions (
    instrument_key INTEGER NOT NULL,
    session_id     BLOB NOT NULL,
    record_id      BLOB NOT NULL,
    began_at       INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL,
    person         TEXT,
    person_how     TEXT NOT NULL,
    acquiring_s    REAL NOT NULL,
    live_s         REAL NOT NULL,
    shutter_open_s REAL,
    n_acquisitions INTEGER NOT NULL,
    n_frames       INTEGER NOT NULL,
    PRIMARY KEY (instrument_key, session_id)
) WITHOUT ROWID;
CREATE INDEX usage_sessions_by_start ON usage_sessions (began_at);
CREATE INDEX usage_sessions_by_record ON usage_sessions (record_id);
CREATE TABLE planned_runs (
    instrument_key INTEGER NOT NULL,
    run_id         BLOB NOT NULL,
    record_id      BLOB NOT NULL,
    began_at       INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL,
    routine        TEXT NOT NULL,
    state          TEXT NOT NULL,
    qc_run_id      BLOB,
    PRIMARY KEY (instrument_key, run_id)
) WITHOUT ROWID;
CREATE INDEX planned_runs_by_start ON planned_runs (began_at);
-- Use by days of the site's calendar, rolled up from what is above. The day '' stands for all time before the first one. A zone
-- that is empty says that something came in since: the day is to be rolled up anew, and until then counts as not there.
CREATE TABLE usage_days (
    instrument_key INTEGER NOT NULL,
    day            TEXT NOT NULL,
    zone           TEXT NOT NULL,
    since_at       INTEGER NOT NULL,
    until_at       INTEGER NOT NULL,
    first_at       INTEGER,
    last_at        INTEGER NOT NULL,
    acquiring_s    REAL NOT NULL,
    manual_s       REAL NOT NULL,
    qc_s           REAL NOT NULL,
    n_acquisitions INTEGER NOT NULL,
    n_datasets     INTEGER NOT NULL,
    n_frames       INTEGER NOT NULL,
    n_bytes        INTEGER NOT NULL,
    PRIMARY KEY (instrument_key, day)
) WITHOUT ROWID;
CREATE INDEX usage_days_by_end ON usage_days (instrument_key, until_at);
CREATE INDEX usage_days_spoiled ON usage_days (instrument_key, day) WHERE zone = '';
CREATE TABLE usage_day_people (
    instrument_key INTEGER NOT NULL,
    day            TEXT NOT NULL,
    line           INTEGER NOT NULL,
    person         TEXT,
    person_how     TEXT NOT NULL,
    seconds        REAL NOT NULL,
    n_sessions     INTEGER NOT NULL,
    n_acquisitions INTEGER NOT NULL,
    n_frames       INTEGER NOT NULL,
    PRIMARY KEY (instrument_key, day, line)
) WITHOUT ROWID;
-- Signed heads of the tree over all batches, and the tree's right edge from which the next is computed.
CREATE TABLE checkpoints (
    n_batches INTEGER PRIMARY KEY,
    root      TEXT NOT NULL,
    edge      TEXT NOT NULL,
    note      TEXT NOT NULL,
    made_at   INTEGER NOT NULL
);
