"""What goes into a store and comes out of it: small frozen types without a trace of SQL.

All times are aware and UTC. ``…_at`` of a record is the instrument's clock, ``received_at`` the collector's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from agent.records import Change
from agent.records.wire import Flagged
from server.access.roles import Role

FlagReason = Literal["unknown_kind", "newer_version", "malformed", "foreign_agent"]
GrantPurpose = Literal["session", "token", "link"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A microscope, as staff named it."""

    instrument_id: str
    name: str
    site: str
    added_at: datetime
    model: str = ""
    """As the newest description of the instrument tells it; nobody else writes it."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An enrolled agent: a public key bound to an instrument."""

    agent_id: str
    public_key: bytes
    instrument_id: str
    hostname: str
    platform: str
    version: str
    enrolled_at: datetime
    heard_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JoinCode:
    """A one-time permission to enrol; the code itself is known only to whoever was shown it."""

    code_sha256: str
    instrument_name: str
    site: str
    instrument_id: str | None
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_by: str | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in; without a password only by a one-time link."""

    name: str
    role: Role
    password: str | None
    added_at: datetime
    scope: str = ""
    """As `server.access.scope.Scope.text` writes it; empty for everything."""
    ends_at: datetime | None = None
    """From then on nobody signs in with it."""
    subject: str = ""
    """Issuer and subject at the identity provider; empty for people added here."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A secret that stands for a person: a session, an API token or a one-time sign-in link. Only its hash is kept."""

    secret_sha256: str
    purpose: GrantPurpose
    name: str
    role: Role
    made_at: datetime
    expires_at: datetime | None
    scope: str = ""
    """Of an API token; a session has that of its person."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, from where, and how it ended."""

    at: datetime
    who: str
    action: str
    outcome: Literal["done", "refused"]
    detail: str = ""
    address: str = ""
    chain: str = field(default="", compare=False)
    """Hash over this entry and the one before, given by the store."""
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """What people or jobs may change, as JSON: a schedule, an alert rule, the group an instrument belongs to.

    `version` counts the changes of this key, so that two editors notice each other.
    """

    kind: str
    key: str
    body: str
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What was put down once and is never changed: a service visit, a sign-off, a run declared invalid and why.

    `subject` is what it is about (a record, a run, a document), `body` is JSON. A correction is another entry.
    """

    entry_id: str
    kind: str
    at: datetime
    by: str
    body: str
    instrument_id: str | None = None
    subject: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file a person added, kept once under the hash of its bytes."""

    sha256: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spool:
    """How far one spool of one agent has come."""

    agent_id: str
    spool_id: str
    mark: int
    chain: str
    n_skipped: int
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class AcquisitionFacts:
    """What one record adds to what is known of an acquisition; None is 'does not say'."""

    acquisition_id: UUID
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    n_expected: int | None = None
    n_seen: int | None = None
    n_dropped: int | None = None
    n_files: int | None = None
    n_stamped: int | None = None
    n_problems: int | None = None
    size_bytes: int | None = None
    first_frame: int | None = None
    n_frames: int | None = None

    def numbers(self) -> list[int]:
        """Return every number in it."""
        values = [getattr(self, name) for name in self.__slots__]
        return [value for value in values if isinstance(value, int)]


@dataclass(frozen=True, slots=True)
class QcFigure:
    """One figure of a quality-control run; numbers that cannot be drawn are None, the record has them."""

    metric: str
    status: str
    unit: str | None
    value: float | None
    uncertainty: float | None
    expected: float | None
    baseline: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True, slots=True)
class QcFacts:
    """What a quality-control record adds to the series of its instrument."""

    run_id: UUID
    series_key: str
    routine: str
    light_path: dict[str, str]
    status: str
    figures: tuple[QcFigure, ...]


class Dataset(NamedTuple):
    """What an acquisition wrote: where, and its hash before and after the stamp."""

    path: str
    sha256: str | None = None
    stamped_sha256: str | None = None


class SearchFacts(NamedTuple):
    """What acquisitions are to be found by; terms are pairs of a sort and a text in lower case."""

    acquisition_ids: tuple[UUID, ...]
    terms: tuple[tuple[str, str], ...] = ()
    datasets: tuple[Dataset, ...] = ()


class SessionFacts(NamedTuple):
    """What a record tells of one session of use; `ended_at` is `began_at` plus its duration, whatever the wall clock did."""

    session_id: UUID
    began_at: datetime
    ended_at: datetime
    person: str | None
    person_how: str
    acquiring_s: float
    live_s: float
    shutter_open_s: float | None
    n_acquisitions: int
    n_frames: int


class PlannedRunFacts(NamedTuple):
    """What a record tells of a planned run that had the hardware."""

    run_id: UUID
    began_at: datetime
    ended_at: datetime
    routine: str
    state: str
    qc_run_id: UUID | None


class FiledChange(NamedTuple):
    """One change of a change record, as it goes into the change log."""

    device: str
    property: str
    last_at: datetime
    change: str


class Filed(NamedTuple):
    """A record that was understood: under what it is filed, and what it adds to the tables."""

    # Named tuples here and in `Line`: they are made for every record, in a third of a dataclass's time.
    record_id: UUID
    kind: str
    schema_version: str
    instrument_id: str
    captured_at: datetime
    boot_id: str
    monotonic_ns: int
    acquisition_id: UUID | None = None
    changes: tuple[FiledChange, ...] = ()
    facts: AcquisitionFacts | None = None
    qc: QcFacts | None = None
    search: SearchFacts | None = None
    model: str | None = None
    use: SessionFacts | PlannedRunFacts | None = None


class Line(NamedTuple):
    """One line of a batch: its bytes, the chain value after it, and either where it is filed or why it is not."""

    seq: int
    raw: bytes
    chain: str
    filed: Filed | None = None
    flag: Flagged | None = None
    kind: str | None = None
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A verified batch, ready to be appended."""

    agent_id: str
    spool_id: str
    first_seq: int
    prev: str
    skipped_from: int | None
    lines: tuple[Line, ...]
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    received_at: datetime
    is_forwarded: bool = False
    """A lower site sent it on; batches before it that the site's policy withholds never come."""
    verified: Agent | None = None
    """Against which agent its signature was verified; it is only taken while the agent stands so. None: that is settled."""

    @property
    def last_seq(self) -> int:
        """Sequence number of the last line."""
        return self.first_seq + len(self.lines) - 1

    @property
    def n_bytes(self) -> int:
        """Size of its lines as they came."""
        return sum([len(line.raw) for line in self.lines])


@dataclass(frozen=True, slots=True)
class Appended:
    """What appending a batch did."""

    acked: int
    n_added: int
    flagged: tuple[Flagged, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it was received, with all that is needed to check its signature again.

    `prev` and `chain` are the chain values before its first and after its last line; the first `n_known` lines were
    stored before it came. What retention has pruned says so with `body_sha256`, the hash of the body as it was
    received: the body then has a line ``#<sha256 of the line>`` for every line given up, and is None when all are.
    """

    batch_id: int
    agent_id: str
    spool_id: str
    first_seq: int
    n_lines: int
    n_known: int
    prev: str
    chain: str
    path: str
    headers: dict[str, str]
    body: bytes | None = field(repr=False)
    body_sha256: str | None
    received_at: datetime

    @property
    def last_seq(self) -> int:
        """Sequence number of the last line."""
        return self.first_seq + self.n_lines - 1


@dataclass(frozen=True, slots=True)
class RecordRow:
    """Under what a record is filed, and where its bytes are."""

    position: int
    record_id: str
    kind: str
    schema_version: str
    instrument_id: str
    acquisition_id: str | None
    captured_at: datetime
    received_at: datetime
    agent_id: str
    spool_id: str
    seq: int
    batch_id: int
    line: int


@dataclass(frozen=True, slots=True)
class LatestRecord:
    """The newest record of one kind of one instrument, with its bytes."""

    kind: str
    record_id: str
    captured_at: datetime
    received_at: datetime
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One entry of the flattened change log."""

    position: int
    record_id: str
    instrument_id: str
    acquisition_id: str | None
    change: Change


class ChangeMark(NamedTuple):
    """A change in a few words, to count thousands by; of the property's name as much as the index of the log holds."""

    # A named tuple: thousands are gone through for one page.
    position: int
    device: str
    property: str
    at: datetime


class ChangeInShort(NamedTuple):
    """A change as what happened afterwards is explained by; values are None where they could not be read."""

    position: int
    record_id: str
    device: str
    property: str
    at: datetime
    before: object
    after: object
    unit: str | None


@dataclass(frozen=True, slots=True)
class AcquisitionRow:
    """An acquisition, joined from all records that speak of it."""

    position: int
    acquisition_id: str
    instrument_id: str
    began_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    n_expected: int | None
    n_seen: int | None
    n_dropped: int | None
    n_in_ledger: int
    n_files: int | None
    n_stamped: int | None
    n_problems: int | None
    started_record_id: str | None
    finished_record_id: str | None
    stamp_record_id: str | None
    size_bytes: int | None = None
    """Of everything it wrote, as its end told."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of use. `person` is as the agent published it: a name, a hash of 64 digits, or None."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    person: str | None
    person_how: str
    acquiring_s: float
    live_s: float
    shutter_open_s: float | None
    n_acquisitions: int
    n_frames: int


@dataclass(frozen=True, slots=True)
class AcquisitionTime:
    """When an acquisition that has ended had the instrument, and what it made; `is_qc` when quality control measured it."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    n_frames: int | None
    n_files: int | None
    size_bytes: int | None
    is_qc: int


@dataclass(frozen=True, slots=True)
class PlannedRunRow:
    """When a planned run of quality control had the hardware, and how it ended."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    routine: str
    state: str


class Use(NamedTuple):
    """What an instrument did in some time: seconds in each mode (no moment in two), and what it made."""

    first_at: datetime | None
    """The first moment of it in which the instrument was used."""
    acquiring_s: float
    manual_s: float
    qc_s: float
    n_acquisitions: int
    n_datasets: int
    n_frames: int
    n_bytes: int


class PersonsUse(NamedTuple):
    """What a person did in some time; sessions, acquisitions and frames count when the session began in it."""

    person: str | None
    person_how: str
    seconds: float
    n_sessions: int
    n_acquisitions: int
    n_frames: int


class UsageDay(NamedTuple):
    """A day of an instrument by the site's calendar, ``2026-05-04``; as day '' all time before the first."""

    day: str
    since_at: datetime
    until_at: datetime
    last_at: datetime
    """When the last of what began by then ended."""
    use: Use
    people: tuple[PersonsUse, ...] = ()


class RolledUp(NamedTuple):
    """From when to when the days of an instrument are rolled up; before the first there was nothing."""

    instrument_id: str
    first_day: str
    last_day: str
    until_at: datetime
    last_at: datetime | None
    """When the last of what began by the last day ended; None when that day is spoiled."""


@dataclass(frozen=True, slots=True)
class QcCount:
    """So many runs of a routine on an instrument ended with a verdict."""

    instrument_id: str
    routine: str
    status: str
    n_runs: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One ledger record of an acquisition: which frames it stamps."""

    record_id: str
    first_frame: int
    n_frames: int


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A line that was kept and acknowledged but not filed, and why."""

    position: int
    agent_id: str
    spool_id: str
    seq: int
    batch_id: int
    line: int
    reason: FlagReason
    message: str
    kind: str | None
    record_id: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a time-ordered list ended; the next page starts strictly before it."""

    at: datetime
    position: int


@dataclass(frozen=True, slots=True)
class QcSeriesRow:
    """A series of quality-control runs, and how it stands."""

    instrument_id: str
    series_key: str
    routine: str
    light_path: dict[str, str]
    n_runs: int
    record_id: str
    captured_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class QcRunRow:
    """One run of quality control in short; its record has the rest."""

    position: int
    record_id: str
    instrument_id: str
    run_id: str
    series_key: str
    routine: str
    status: str
    captured_at: datetime
    acquisition_id: str | None


class QcPoint(NamedTuple):
    """One figure of one run, as a chart needs it."""

    # A named tuple: thousands are made for one page.
    metric: str
    captured_at: datetime
    position: int
    record_id: str
    status: str
    unit: str | None
    value: float | None
    uncertainty: float | None
    expected: float | None
    baseline: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True, slots=True)
class FleetRow:
    """An instrument at a glance: when it was heard, its last heartbeat, its last acquisition."""

    instrument: Instrument
    heard_at: datetime | None
    heartbeat: LatestRecord | None
    last_acquisition: AcquisitionRow | None


class FleetMark(NamedTuple):
    """An instrument in a few words, to sort, filter and count thousands of them by."""

    # A named tuple: ten thousand are made for one page.
    instrument_id: str
    name: str
    site: str
    model: str
    heard_at: datetime | None
    qc_rank: int
    """The worst verdict of the newest runs of its series, by `QC_RANKS`."""
    qc_at: datetime | None
    running_at: datetime | None
    """When the last of the acquisitions that have not ended began."""


QC_RANKS = ("none", "pass", "unknown", "warn", "fail")
"""How a fleet is ranked: the further back, the sooner somebody should look."""


@dataclass(frozen=True, slots=True)
class AcquisitionQuery:
    """What an acquisition must have; what is empty does not matter.

    `words` begin words of its file names, `terms` are exact (sort, text), `sha256` begins a hash.
    """

    instrument_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head of the tree over the first `n_batches` batches, and the right edge from which the next is computed."""

    n_batches: int
    root: str
    edge: str
    note: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class OldRecord:
    """A record that retention looks at."""

    position: int
    record_id: str
    instrument_id: str
    captured_at: datetime
    batch_id: int
    line: int
