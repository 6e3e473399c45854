"""What was captured, and whether all of it is in the collector."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from agent.demo.collector import LocalCollector


@dataclass(frozen=True)
class Summary:
    """The demo's outcome, read back from the collector.

    Attributes
    ----------
    n_captured : int
        Records that the agent's processes had put into their spools.
    n_collected : int
        How many of them the collector says it holds.
    records : dict
        Kind to number of records the collector indexed.
    acquisitions : list
        The acquisitions as the collector's API gives them, oldest first, with their files and changes.
    """

    n_captured: int
    n_collected: int
    records: dict[str, int]
    acquisitions: list[dict[str, Any]]
    quarantined: int
    missing: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything captured is in the collector, and understood there."""
        return not self.missing and not self.quarantined

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {**asdict(self), "is_complete": self.is_complete}


def summarise(collector: LocalCollector, instrument_id: str, marks: dict[str, int]) -> Summary:
    """Compare what was spooled (spool id to last number) with what the collector holds."""
    held = {spool["spool_id"]: spool["mark"] for spool in collector.get("/v1/spools")}
    missing = [
        f"{last - held.get(spool, 0)} records of spool {spool}"
        for spool, last in marks.items()
        if held.get(spool, 0) < last
    ]
    acquisitions = collector.get(f"/v1/instruments/{instrument_id}/acquisitions")["acquisitions"]
    return Summary(
        n_captured=sum(marks.values()),
        n_collected=sum(min(held.get(spool, 0), last) for spool, last in marks.items()),
        records=_count_kinds(collector, instrument_id),
        acquisitions=[_with_record(collector, found) for found in reversed(acquisitions)],
        quarantined=len(collector.get("/v1/quarantine")["quarantine"]),
        missing=missing,
    )


def _count_kinds(collector: LocalCollector, instrument_id: str) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    after = 0
    while True:
        page = collector.get("/v1/records", instrument=instrument_id, after=after, limit=500)
        kinds.update(record["kind"] for record in page["records"])
        if not page["records"]:
            return dict(kinds.most_common())
        after = page["after"]


def _with_record(collector: LocalCollector, found: dict[str, Any]) -> dict[str, Any]:
    record = _record(collector, found["finished_record_id"])
    stamp = _record(collector, found["stamp_record_id"])
    return {
        **found,
        "files": [
            {key: file[key] for key in ("path", "format", "size_bytes", "sha256")}
            for file in record.get("files", ())
        ],
        "stamped": stamp.get("files", []),
        "changed": [
            f"{change['device']} {change['property']}: {_shown(change.get('before'))} → {_shown(change['after'])}"
            for change in record.get("changed", ())
        ],
    }


def _record(collector: LocalCollector, record_id: str | None) -> dict[str, Any]:
    if record_id is None:
        return {}
    record: dict[str, Any] = collector.get(f"/v1/records/{record_id}")["record"]
    return record


def _shown(reading: dict[str, Any] | None) -> str:
    if reading is None:
        return "?"
    value = reading.get("value", reading["status"])
    text = f"{value + 0.0:.6g}" if isinstance(value, float) else str(value)
    return f"{text} {reading['unit']}" if reading.get("unit") else text or "none"


KIND_WORDS = {
    "instrument": "instrument description, profile joined to devices",
    "state_snapshot": "snapshot of the whole state",
    "state_change": "entry of the change log",
    "acquisition_started": "acquisition started",
    "acquisition_finished": "acquisition finished, with state before and after",
    "frame_ledger": "batch of per-frame stamps",
    "dataset_stamp": "stamp written onto the data",
    "dataset_found": "dataset found on disk",
    "usage_session": "session of use",
    "qc_result": "QC result",
    "heartbeat": "heartbeat",
    "agent_event": "event of the agent",
    "gap": "gap",
}


def show(summary: Summary, console: Console) -> None:
    """Print the summary for a person."""
    table = Table(title="In the collector", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Record")
    table.add_column("What it is")
    table.add_column("Number", justify="right")
    for kind, number in summary.records.items():
        table.add_row(kind, KIND_WORDS.get(kind, ""), str(number))
    console.print(table)
    for found in summary.acquisitions:
        _show_acquisition(found, console)
    verdict = (
        f"[green]All {summary.n_captured} records captured are in the collector.[/]"
        if summary.is_complete
        else f"[bold red]Not everything is in the collector:[/] {'; '.join(summary.missing) or 'records in quarantine'}"
    )
    console.print(verdict)


def _show_acquisition(found: dict[str, Any], console: Console) -> None:
    names = ", ".join(Path(file["path"]).name for file in found["files"])
    table = Table(title=f"Acquisition into {names}", title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row(
        "frames",
        f"{found['n_seen']} of {found['n_expected']} seen, {found['n_dropped']} dropped; {found['reason']}",
    )
    for file in found["files"]:
        table.add_row(file["format"], f"{file['size_bytes'] / 1e6:.1f} MB, SHA-256 {file['sha256'][:16]}…")
    table.add_row("stamped", f"{found['n_stamped']} of {found['n_files']} datasets, beside and inside")
    table.add_row("changed meanwhile", "\n".join(found["changed"]) or "nothing")
    console.print(table)
