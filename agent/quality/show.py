"""QC for a person to read: the catalogue, a protocol, a verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.records import QcMetric, QcResult, QcStatus
from qc_routines.protocols import Protocol
from qc_routines.routine import Routine
from qc_routines.tolerances import Tolerance

SIGNS = {
    QcStatus.PASS: "[green]✓ pass[/]",
    QcStatus.WARN: "[yellow]! warn[/]",
    QcStatus.FAIL: "[bold red]✗ fail[/]",
    QcStatus.UNKNOWN: "[dim]? unknown[/]",
}
NO_LIMIT = "no limit set"


def catalogue_table(protocols: Iterable[tuple[Routine, Protocol | None]]) -> Table:
    """Return the routines: what each measures, on what, how long it takes and how often it is due."""
    table = Table(title="QC routines", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Routine", "What it measures", "On the stage"):
        table.add_column(heading, overflow="fold")
    table.add_column("Minutes", justify="right")
    table.add_column("Every", justify="right")
    for routine, protocol in protocols:
        if protocol is None:
            table.add_row(routine.name, routine.title, "–", "–", "–")
            continue
        minutes = max(protocol.duration_s / 60, 0.1)
        table.add_row(
            routine.name,
            routine.title,
            protocol.sample,
            f"{minutes:.{0 if minutes >= 10 else 1}f}",
            f"{protocol.every_days:g} days",
        )
    return table


def show_routine(
    routine: Routine, protocol: Protocol | None, tolerances: Iterable[Tolerance], console: Console
) -> None:
    """Print what to do, what comes out, and within which limits."""
    console.print(f"[bold]{routine.title}[/] ({routine.name})", highlight=False)
    if protocol is not None:
        show_protocol(protocol, console)
    console.print("\n[bold]Inputs[/]")
    for name, meaning in routine.inputs.items():
        console.print(f"  {name}: {escape(meaning)}", highlight=False)
    table = Table(title="\nFigures", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Figure", "Unit", "Meaning"):
        table.add_column(heading, overflow="fold")
    for name, figure in routine.figures.items():
        table.add_row(name, escape(figure.unit), escape(figure.meaning))
    console.print(table)
    console.print("[bold]Limits[/]")
    for tolerance in tolerances:
        if tolerance.routine == routine.name:
            console.print(f"  {escape(str(tolerance))}", highlight=False)


def show_protocol(protocol: Protocol, console: Console) -> None:
    """Print what a person must do."""
    console.print(f"On the stage: {escape(protocol.sample)}", highlight=False)
    for number, step in enumerate(protocol.steps, 1):
        console.print(f"  {number}. {escape(step)}", highlight=False)
    console.print(f"Exposure: {escape(protocol.exposure)}", highlight=False)
    console.print(f"[dim]{escape(protocol.source)}[/]", highlight=False)


def show_result(result: QcResult, title: str, console: Console, *, every_figure: bool = False) -> None:
    """Print a verdict: likely causes first, then the figures with a limit, then what a reader must know."""
    rejected = ", ".join(f"{n} {reason}" for reason, n in result.n_rejected.items())
    counts = f"{result.n_used} used" + (f", left out: {rejected}" if rejected else "")
    console.print(f"{SIGNS[result.status]}  [bold]{title}[/]  ({escape(counts)})", highlight=False)
    if result.advice:
        console.print("\n[bold]Likely causes, in the order in which to check[/]")
    for number, advice in enumerate(result.advice, 1):
        console.print(f"  {number}. {escape(advice.finding)}: {escape(advice.check)}.", highlight=False)
    chosen = [
        metric for metric in result.metrics if every_figure or metric.rule != NO_LIMIT
    ] or result.metrics
    rules = _numbered_rules(chosen)
    console.print(_metrics_table(chosen, rules))
    for rule, number in rules.items():
        console.print(f"  [dim]{number}  {escape(rule)}[/]", highlight=False)
    for remark in result.remarks:
        console.print(f"  [dim]{escape(remark)}[/]", highlight=False)
    if len(chosen) < len(result.metrics):
        n_more = len(result.metrics) - len(chosen)
        console.print(f"  [dim]{n_more} figures without a limit: --all shows them.[/]", highlight=False)


def _numbered_rules(metrics: Iterable[QcMetric]) -> dict[str, int]:
    """Return the rules that say something, each once, with its number."""
    rules = dict.fromkeys(metric.rule for metric in metrics if metric.rule != NO_LIMIT)
    return {rule: number for number, rule in enumerate(rules, 1)}


def _metrics_table(metrics: Iterable[QcMetric], rules: Mapping[str, int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading, justify in (
        ("Figure", "left"),
        ("Measured", "right"),
        ("Expected", "right"),
        ("Baseline", "right"),
        ("Passes", "right"),
        ("Status", "left"),
        ("Rule", "right"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for metric in metrics:
        table.add_row(
            escape(metric.metric),
            _measured(metric),
            _number(metric.expected and metric.expected.value),
            _number(metric.baseline and metric.baseline.value),
            _between(metric.lower_limit, metric.upper_limit),
            SIGNS[metric.status],
            str(rules.get(metric.rule, "")),
        )
    return table


def _measured(metric: QcMetric) -> str:
    if metric.measured is None:
        return "–"
    value, unit = metric.measured.value, metric.measured.unit
    text = _number(value)
    if metric.uncertainty is not None:
        text += f" ± {float(metric.uncertainty.value):.2g}"
    return text if unit in (None, "1") else f"{text} {unit}"


def _number(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return "–" if high is None else f"≤ {high:.4g}"
    return f"≥ {low:.4g}" if high is None else f"{low:.4g} … {high:.4g}"


def history_table(
    runs: Iterable[QcResult], baseline_ids: Collection[str], invalid: Mapping[str, str]
) -> Table:
    """Return runs, oldest first, with time zero marked, and those that count no more with when and why."""
    table = Table(title="QC runs", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Run", "When (UTC)", "Routine", "Light path", "Status", ""):
        table.add_column(heading, overflow="fold")
    for run in runs:
        name = str(run.run_id)
        noted = ["time zero"] if name in baseline_ids else []
        noted += [f"invalid: {escape(invalid[name])}"] if name in invalid else []
        table.add_row(
            name[:8],
            run.captured.wall_at.strftime("%Y-%m-%d %H:%M:%S"),
            run.routine,
            escape(", ".join(run.light_path.values())),
            SIGNS[run.status],
            "; ".join(noted),
        )
    return table


def run_in_short(run: QcResult, baseline_ids: Collection[str], invalid: Mapping[str, str]) -> dict[str, Any]:
    """Return what the history says of a run, for a program: `invalid` is when and why it counts no more, else null."""
    name = str(run.run_id)
    return {
        "run_id": name,
        "captured_at": run.captured.wall_at.isoformat(),
        "routine": run.routine,
        "routine_version": run.routine_version,
        "light_path": dict(run.light_path),
        "status": run.status.value,
        "is_time_zero": name in baseline_ids,
        "invalid": invalid.get(name),
        "figures": {
            one.metric: {"value": one.measured.value, "unit": one.measured.unit, "status": one.status.value}
            for one in run.metrics
            if one.measured is not None
        },
    }
