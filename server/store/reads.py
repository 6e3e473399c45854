"""Questions to a store, in the SQL that its engines share."""

from __future__ import annotations

from server.store.reads_of_acquisitions import AcquisitionReads
from server.store.reads_of_batches import BatchReads
from server.store.reads_of_changes import ChangeReads
from server.store.reads_of_people import PeopleReads
from server.store.reads_of_quality import QualityReads
from server.store.reads_of_records import RecordReads
from server.store.using_days import DayReads


class SqlReads(PeopleReads, BatchReads, RecordReads, ChangeReads, AcquisitionReads, QualityReads, DayReads):
    """Reads through one connection that nobody else uses at the same time."""
