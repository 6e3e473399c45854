"""The tables every engine has, for copying a store row by row whatever is beneath."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the columns its rows are ordered by, and the others."""

    name: str
    key: tuple[str, ...]
    others: tuple[str, ...]
    is_numbered: bool = False
    """Whether the engine numbers new rows by the (only) key column."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the key first."""
        return self.key + self.others


def _table(name: str, key: str, others: str, *, is_numbered: bool = False) -> Table:
    return Table(name, tuple(key.split()), tuple(others.split()), is_numbered)


_FIGURES = "record_id status unit value uncertainty expected baseline lower_limit upper_limit"
_COUNTS = "n_expected n_seen n_dropped n_in_ledger n_files n_stamped n_problems"

TABLES = (
    _table("instruments", "instrument_key", "instrument_id name site added_at model", is_numbered=True),
    _table(
        "agents",
        "agent_id",
        "public_key instrument_id hostname platform version enrolled_at heard_at revoked_at",
    ),
    _table(
        "join_codes",
        "code_sha256",
        "instrument_name site instrument_id made_by made_at expires_at used_by used_at",
    ),
    _table("users", "name", "role password added_at scope ends_at subject"),
    _table("grants", "secret_sha256", "purpose name role made_at expires_at scope"),
    _table("audit", "position", "at who action outcome detail address chain", is_numbered=True),
    _table("documents", "kind key", "body version changed_at changed_by"),
    _table("entries", "position", "entry_id kind at by body instrument_id subject", is_numbered=True),
    _table("attachments", "sha256", "media_type content"),
    _table(
        "spools",
        "spool_key",
        "agent_id spool_id mark chain n_skipped first_received_at last_received_at",
        is_numbered=True,
    ),
    _table("skips", "spool_key last_seq", "first_seq chain noted_at"),
    _table(
        "batches",
        "batch_id",
        "spool_key instrument_key first_seq last_seq n_known prev chain path headers received_at body_sha256 body",
    ),
    _table("kinds", "kind_key", "kind", is_numbered=True),
    _table(
        "records",
        "position",
        "record_id kind_key schema_version instrument_key captured_at batch_id line acquisition_id",
    ),
    _table(
        "quarantine", "position", "batch_id line seq reason message kind name received_at", is_numbered=True
    ),
    _table(
        "latest",
        "instrument_key kind",
        "record_id captured_at counts_at boot_id monotonic_ns received_at raw",
    ),
    _table(
        "changes",
        "position",
        "record_id instrument_key acquisition_id device last_at change property",
        is_numbered=True,
    ),
    _table(
        "acquisitions",
        "position",
        f"acquisition_id instrument_key began_at started_at finished_at reason {_COUNTS} "
        "started_record_id finished_record_id stamp_record_id size_bytes",
        is_numbered=True,
    ),
    _table("datasets", "acquisition_id path", "sha256 stamped_sha256"),
    _table("terms", "term_key", "sort term", is_numbered=True),
    _table("acquisition_terms", "term_key acquisition_id", ""),
    _table("ledgers", "acquisition_id first_frame record_id", "n_frames"),
    _table(
        "qc_series", "instrument_key series_key", "routine light_path n_runs record_id captured_at status"
    ),
    _table(
        "qc_runs",
        "position",
        "record_id instrument_key run_id series_key routine status captured_at acquisition_id",
    ),
    _table("qc_figures", "instrument_key series_key metric captured_at position", _FIGURES),
    _table(
        "usage_sessions",
        "instrument_key session_id",
        "record_id began_at ended_at person person_how acquiring_s live_s shutter_open_s n_acquisitions n_frames",
    ),
    _table("planned_runs", "instrument_key run_id", "record_id began_at ended_at routine state qc_run_id"),
    _table(
        "usage_days",
        "instrument_key day",
        "zone since_at until_at first_at last_at acquiring_s manual_s qc_s n_acquisitions n_datasets n_frames n_bytes",
    ),
    _table(
        "usage_day_people",
        "instrument_key day line",
        "person person_how seconds n_sessions n_acquisitions n_frames",
    ),
    _table("checkpoints", "n_batches", "root edge note made_at"),
    _table("counters", "one", "batch_id position"),
)
"""In an order in which they can be filled."""


def loaded(column: str, value: Any) -> Any:
    """Return a value of `plain` as a statement wants it: ids of records as `UUID`."""
    is_id = column.endswith(("record_id", "run_id")) or column in ("acquisition_id", "session_id")
    return UUID(value) if is_id and value is not None else value
