"""The report as sections of plain text cells, which the terminal and the HTML page both show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.conformance.findings import Report, Severity


class Section(NamedTuple):
    """One table of the report."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def printable(text: str) -> str:
    """Return a text without control characters, which could work a terminal and are not allowed in XML.

    >>> printable("Cam" + chr(27) + "[2J")
    'Cam�[2J'
    """
    return "".join(character if character.isprintable() else "�" for character in text)


def summary(report: Report) -> str:
    """Return the result in one line."""
    counts = ", ".join(f"{report.n_of(severity)} {severity}s" for severity in Severity)
    n_devices = len({read.facts.device for read in report.reads})
    return f"{report.configuration}: {n_devices} devices, {len(report.reads)} properties, {report.duration_s:g} s; {counts}"


def brief_sections(report: Report) -> list[Section]:
    """Return what a person wants to see first."""
    return [findings_section(report), _devices(report), _coverage(report)]


def all_sections(report: Report) -> list[Section]:
    """Return everything."""
    return [
        *brief_sections(report),
        _offers(report),
        _reads(report),
        _trials(report),
        _others(report),
        _acquisition(report),
        _exports(report),
        _left(report),
        _filled(report),
        _gaps(report),
    ]


def findings_section(report: Report) -> Section:
    """Return the findings, the worst first."""
    rows = [(f.severity, f.check, f.device, f.property, f.text) for f in report.findings]
    return Section("Findings", ("Severity", "Check", "Device", "Property", "What"), rows)


def _devices(report: Report) -> Section:
    rows = []
    for offer in report.offers:
        reads = [read for read in report.reads if read.facts.device == offer.device]
        slowest = max((read.median_ms or 0.0 for read in reads), default=0.0)
        tried = [t for t in report.trials if t.facts.device == offer.device and not t.is_restore]
        n_told = sum(trial.notified_ms is not None for trial in tried)
        rows.append(
            (
                offer.device,
                offer.device_type,
                str(len(reads)),
                f"{slowest:.2f}",
                f"{n_told} of {len(tried)}",
                ", ".join(offer.lacking),
            )
        )
    headings = ("Device", "Type", "Properties", "Slowest read, ms", "Announced", "Lacks")
    return Section("Devices and standard properties", headings, rows)


def _offers(report: Report) -> Section:
    rows = [
        (offer.device, f"{offer.library}/{offer.adapter_name}", what, name)
        for offer in report.offers
        for what, name in offer.offered.items()
    ]
    return Section("Standard properties offered", ("Device", "Adapter", "What", "Property"), rows)


def _coverage(report: Report) -> Section:
    rows = []
    for item in report.coverage:
        is_list = item.standard.endswith("checklist")
        asked = "items" if is_list else "what has a place there"
        asked = f"required at tier {item.tier}" if item.tier else asked
        percent = f"{100 * item.n_present / item.n_required:.0f} %" if item.n_required else "–"
        rows.append((item.scope, item.standard, asked, str(item.n_present), str(item.n_required), percent))
    return Section("What the standards get", ("Of", "Standard", "Fields", "Filled", "Of", ""), rows)


def _acquisition(report: Report) -> Section:
    trial = report.acquisition
    rows = []
    if trial is not None:
        rows = [
            ("status", f"{trial.status} {trial.error}".strip()),
            ("frames", f"{trial.n_frames} of {trial.n_expected}"),
            ("channels", ", ".join(trial.channels)),
            *(("problem", problem) for problem in trial.problems),
        ]
    return Section("A small acquisition", ("What", "Result"), rows)


def _exports(report: Report) -> Section:
    rows = [(item.name, item.title, item.error or _size(item.size_bytes)) for item in report.exports]
    return Section("Its exports", ("Format", "Standard", "Result"), rows)


def _size(size_bytes: int) -> str:
    return f"{size_bytes} bytes" if size_bytes else "nothing to say"


def _reads(report: Report) -> Section:
    rows = [
        (
            read.facts.device,
            read.facts.name,
            read.facts.value_type,
            read.raw if read.raw is not None else read.error,
            read.status,
            _ms(read.median_ms),
            _ms(max(read.took_ms, default=None)),
        )
        for read in report.reads
    ]
    headings = ("Device", "Property", "Type", "Value", "Status", "Median, ms", "Longest, ms")
    return Section("Reads from hardware", headings, rows)


def _trials(report: Report) -> Section:
    rows = [
        (
            t.facts.device,
            t.facts.name,
            t.before,
            t.value + (" (restore)" if t.is_restore else ""),
            t.read_back if t.read_back is not None else t.error,
            t.status,
            _ms(t.set_ms),
            _ms(t.notified_ms),
        )
        for t in report.trials
    ]
    headings = (
        "Device",
        "Property",
        "Before",
        "Set",
        "Read back",
        "Status",
        "Set took, ms",
        "Notified after, ms",
    )
    return Section("Values set and restored", headings, rows)


def _others(report: Report) -> Section:
    rows = [
        (f"{p.group}/{p.preset}", p.status, _ms(p.set_ms), _told((p.notified_ms or {}).items()), p.error)
        for p in report.presets
    ]
    rows += [
        (f"{m.device} by {m.distance_um:g} um", m.status, _ms(m.move_ms), _ms(m.notified_ms), m.error)
        for m in report.moves
    ]
    return Section("Presets and stages", ("What", "Status", "Took, ms", "Notified after, ms", "Error"), rows)


def _left(report: Report) -> Section:
    rows = [(item.device, item.property, item.why) for item in report.left_alone]
    return Section("Left alone", ("Device", "Property", "Why"), rows)


def _filled(report: Report) -> Section:
    rows = [(str(item.tier), item.name, item.place, item.ome) for item in report.filled]
    return Section("Filled in the standards", ("Tier", "4DN-BINA-OME", "Part", "OME-XML"), rows)


def _gaps(report: Report) -> Section:
    rows = [(item.standard, str(item.tier or "–"), item.name, item.place, item.who) for item in report.gaps]
    headings = ("Standard", "Tier", "Field", "Part", "Who can supply it")
    return Section("Missing in the standards", headings, rows)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _told(items: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {late_ms:.1f}" for name, late_ms in items)
