"""What goes into a store and comes out of it: small frozen types without a trace of SQL.

All times are aware and UTC. ``…_at`` of a record is the instrument's clock, ``received_at`` the collector's.
"""

from server.store.rows.acquisitions import (
    AcquisitionFacts,
    AcquisitionQuery,
    AcquisitionRow,
    Dataset,
    LedgerRow,
    SearchFacts,
)
from server.store.rows.batches import Appended, Batch, BatchLink, Checkpoint, Line, Spool, StoredBatch
from server.store.rows.changes import ChangeInShort, ChangeMark, ChangeRow, FiledChange
from server.store.rows.desk import Attachment, Document, Entry
from server.store.rows.fleet import QC_RANKS, Agent, FleetMark, FleetRow, Instrument, JoinCode
from server.store.rows.people import AuditEntry, Grant, GrantPurpose, User
from server.store.rows.quality import QcCount, QcFacts, QcFigure, QcPoint, QcRunRow, QcSeriesRow
from server.store.rows.records import (
    Filed,
    FlagReason,
    LatestRecord,
    OldRecord,
    Place,
    QuarantineRow,
    RecordRow,
)
from server.store.rows.use import (
    AcquisitionTime,
    PersonsUse,
    PlannedRunFacts,
    PlannedRunRow,
    RolledUp,
    SessionFacts,
    SessionRow,
    UsageDay,
    Use,
)

__all__ = [
    "QC_RANKS",
    "AcquisitionFacts",
    "AcquisitionQuery",
    "AcquisitionRow",
    "AcquisitionTime",
    "Agent",
    "Appended",
    "Attachment",
    "AuditEntry",
    "Batch",
    "BatchLink",
    "ChangeInShort",
    "ChangeMark",
    "ChangeRow",
    "Checkpoint",
    "Dataset",
    "Document",
    "Entry",
    "Filed",
    "FiledChange",
    "FlagReason",
    "FleetMark",
    "FleetRow",
    "Grant",
    "GrantPurpose",
    "Instrument",
    "JoinCode",
    "LatestRecord",
    "LedgerRow",
    "Line",
    "OldRecord",
    "PersonsUse",
    "Place",
    "PlannedRunFacts",
    "PlannedRunRow",
    "QcCount",
    "QcFacts",
    "QcFigure",
    "QcPoint",
    "QcRunRow",
    "QcSeriesRow",
    "QuarantineRow",
    "RecordRow",
    "RolledUp",
    "SearchFacts",
    "SessionFacts",
    "SessionRow",
    "Spool",
    "StoredBatch",
    "UsageDay",
    "Use",
    "User",
]
