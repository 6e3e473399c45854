"""Acquisitions and their ledgers, in the SQL that the engines share."""

from __future__ import annotations

from server.store import rows
from server.store.base import Reads
from server.store.connection import SqlRows, to_uuid
from server.store.finding import ACQUISITION, KEY, page


class AcquisitionReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None:
        wanted = to_uuid(acquisition_id)
        return (
            self._one(rows.AcquisitionRow, f"{ACQUISITION} WHERE acquisition_id = ?", wanted)
            if wanted
            else None
        )

    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        where, values = page("began_at", before)
        sql = f"{ACQUISITION} WHERE instrument_key = {KEY} AND {where} ORDER BY began_at DESC, position DESC LIMIT ?"
        return self._all(rows.AcquisitionRow, sql, instrument_id, *values, limit)

    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        wanted = to_uuid(acquisition_id)
        sql = """
            SELECT record_id, first_frame, n_frames FROM ledgers WHERE acquisition_id = ?
            ORDER BY first_frame, record_id"""
        return self._all(rows.LedgerRow, sql, wanted) if wanted else []
