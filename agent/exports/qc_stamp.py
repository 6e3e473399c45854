"""Which quality control held when an acquisition began: judged once, where the runs are kept, and written into its record.

Of every figure the latest result counts that was measured on this light path before the start. What a result does not
name of its light path, such as the objective of a camera's read noise, it holds for in general.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from datetime import timedelta
from typing import Any

from agent.exports.mapping import row_of
from agent.exports.view import AcquisitionView, ChannelView
from agent.records import QcFigure, QcMetric, QcOfLightPath, QcResult, QcStamp, QcStatus, sha256_of

VALID_FOR = timedelta(days=90)
"""How long a result holds that does not say when it is due again."""

MOST_FIGURES = 200
"""So many are carried, those with a verdict first: a record must stay well below `wire.MAX_RECORD_BYTES`."""

NO_VALID_QC = "no valid QC"
_OBJECTIVE_CHANGERS = ("objective", "nosepiece")
_WORST_FIRST = (QcStatus.FAIL, QcStatus.WARN, QcStatus.PASS)
_JOIN = " + "
Names = Mapping[str, Set[str]]
ZeroOf = Callable[[QcResult], QcResult | None]


def qc_stamp(
    view: AcquisitionView, results: Iterable[QcResult], zero_of: ZeroOf = lambda result: None
) -> QcStamp:
    """Return what of `results` held for an acquisition.

    Parameters
    ----------
    view : AcquisitionView
        The acquisition with its profile; its own `qc` is not looked at.
    results : iterable of QcResult
        Runs on this instrument, in any order; those that were declared invalid are left out by the caller.
    zero_of : callable, optional
        Tells the run that is time zero of another; for results that were measured before time zero was chosen.
    """
    paths = [(light_path(view, channel), _names(view, channel)) for channel in view.channels]
    presets = {path["channel"] for path, _ in paths if "channel" in path}
    figures = [
        figure
        for figure in _latest(view, results, zero_of)
        if any(_fits(figure.light_path, names, presets) for _, names in paths)
    ]
    return QcStamp(
        light_paths=tuple(
            _judged(path, [figure for figure in figures if _fits(figure.light_path, names, presets)])
            for path, names in paths
        ),
        figures=tuple(sorted(figures, key=_worth, reverse=True)[:MOST_FIGURES]),
    )


def _worth(figure: QcFigure) -> tuple[bool, bool]:
    return figure.figure.status is not QcStatus.UNKNOWN, figure.is_valid


def newest(results: Iterable[QcResult]) -> list[QcResult]:
    """Return the results that are not in every figure replaced by newer ones of their light path."""
    latest: dict[tuple[Any, ...], QcResult] = {}
    for result in sorted(results, key=lambda item: item.captured.wall_at):
        path = tuple(sorted(result.light_path.items()))
        latest |= {
            (result.routine, metric.metric, path): result for metric in result.metrics if metric.measured
        }
    return list({id(result): result for result in latest.values()}.values())


def light_path(view: AcquisitionView, channel: ChannelView) -> dict[str, str]:
    """Return objective, camera, channel and stage of a channel, by the labels of the hardware; unknown ones left out."""
    group = str(view.reading("Core", "ChannelGroup") or "")
    before = view.bundle.finished.before
    preset = before.presets.get(group) if before and channel.plan is None else None
    path: dict[str, Any] = {
        "objective": _objective_label(view, channel),
        "camera": channel.camera_label,
        "channel": channel.plan.preset if channel.plan else preset and preset.value,
        "stage": view.reading("Core", "XYStage"),
    }
    return {key: str(label) for key, label in path.items() if label}


def _objective_label(view: AcquisitionView, channel: ChannelView) -> str | None:
    labels = view.labels_in(channel.plan)
    devices = {part.device for part in view.bundle.profile.objectives if part.device}
    named = {d for d in labels if any(word in d.lower() for word in _OBJECTIVE_CHANGERS)}
    found = [labels[device] for device in sorted(devices & set(labels) or named)]
    return found[0] if len(found) == 1 else None


def _names(view: AcquisitionView, channel: ChannelView) -> Names:
    """Return what each part of the light path may be called: its label, and its name in the profile."""
    names = {key: {label} for key, label in light_path(view, channel).items()}
    profile = view.bundle.profile
    labels = view.labels_in(channel.plan)
    for part in profile.objectives:
        if part.device and part.state and labels.get(part.device) == part.state:
            names.setdefault("objective", set()).add(part.name)
    if channel.camera:
        names.setdefault("camera", set()).add(channel.camera.name)
    return names


def _fits(measured_on: Mapping[str, str], names: Names, presets: Set[str]) -> bool:
    """Whether a result's light path is this one; one of several channels fits each of them, if all were used."""
    for key, label in measured_on.items():
        known = names.get(key, set())
        together = set(label.split(_JOIN)) if key == "channel" else {label}
        if label not in known and not (together & known and together <= presets):
            return False
    return True


def _latest(view: AcquisitionView, results: Iterable[QcResult], zero_of: ZeroOf) -> list[QcFigure]:
    """Return of every figure those of the newest result; it may be judged by several rules."""
    latest: dict[tuple[Any, ...], list[QcFigure]] = {}
    for result in sorted(results, key=lambda item: item.captured.wall_at):
        if result.captured.wall_at > view.bundle.finished.started.wall_at:
            continue
        found: dict[tuple[Any, ...], list[QcFigure]] = {}
        for figure in _figures(view, result, zero_of(result)):
            path = tuple(sorted(figure.light_path.items()))
            found.setdefault((figure.routine, figure.figure.metric, path), []).append(figure)
        latest |= found
    return [figure for figures in latest.values() for figure in figures]


def _figures(view: AcquisitionView, result: QcResult, zero: QcResult | None) -> Iterable[QcFigure]:
    """Yield the figures of a result that say something: those with a verdict, a comparison, or a place in NBO."""
    began, measured_at = view.bundle.finished.started.wall_at, result.captured.wall_at
    valid_until = result.valid_until or measured_at + VALID_FOR
    at_zero = {metric.metric: metric.measured for metric in zero.metrics} if zero else {}
    sha256 = sha256_of(result)
    for metric in result.metrics:
        figure = metric.model_copy(update={"baseline": metric.baseline or at_zero.get(metric.metric)})
        if figure.measured is not None and _is_telling(result.routine, figure):
            yield QcFigure(
                routine=result.routine,
                routine_version=result.routine_version,
                light_path=result.light_path,
                figure=figure,
                n_used=result.n_used,
                measured_at=measured_at,
                age_s=(began - measured_at).total_seconds(),
                valid_until=valid_until,
                is_valid=began <= valid_until,
                run_id=result.run_id,
                record_id=result.record_id,
                record_sha256=sha256,
            )


def _is_telling(routine: str, figure: QcMetric) -> bool:
    """Whether a figure is carried; of some fifty that a routine measures, most only explain the others."""
    row = row_of(routine, figure) or {}
    is_compared = figure.expected is not None or figure.baseline is not None
    return figure.status is not QcStatus.UNKNOWN or is_compared or bool(row.get("nbo") or row.get("feeds"))


def _judged(path: Mapping[str, str], figures: list[QcFigure]) -> QcOfLightPath:
    valid = [figure for figure in figures if figure.is_valid]
    statuses = {figure.figure.status for figure in valid}
    status = next((status for status in _WORST_FIRST if status in statuses), QcStatus.UNKNOWN)
    if valid:
        routines = ", ".join(sorted({figure.routine for figure in valid}))
        figures_of = f"{len(valid)} figure{'s' * (len(valid) > 1)} of {routines}"
        statement = f"valid QC: {figures_of}; the worst verdict is {status.value}"
    elif figures:
        last = max(figures, key=lambda figure: figure.valid_until)
        statement = (
            f"{NO_VALID_QC}: the latest, {last.routine} of {last.measured_at:%Y-%m-%d}, "
            f"held until {last.valid_until:%Y-%m-%d}"
        )
    else:
        statement = f"{NO_VALID_QC}: nothing was measured on this light path"
    return QcOfLightPath(light_path=dict(path), is_valid=bool(valid), status=status, statement=statement)


def qc_texts(qc: QcStamp | None) -> dict[str, str]:
    """Return the quality control that held as key-value pairs, for annotations."""
    if qc is None:
        return {"QC": f"{NO_VALID_QC}: the agent did not look it up"}
    pairs = {}
    for path in qc.light_paths:
        pairs[f"QC {path.light_path.get('channel', '')}".rstrip()] = path.statement
    for item in qc.figures:
        name = f"QC {item.routine} {item.figure.metric} {_JOIN.join(item.light_path.values())}"
        pairs[name.rstrip()] = "; ".join(_words(item))
    return pairs


def _words(item: QcFigure) -> Iterable[str]:
    figure = item.figure
    unit = f" {figure.measured.unit}" if figure.measured and figure.measured.unit not in (None, "1") else ""
    for word, quantity in (
        ("", figure.measured), ("theory ", figure.expected), ("time zero ", figure.baseline)
    ):  # fmt: skip
        if quantity is not None:
            value = quantity.value
            yield f"{word}{f'{value:.6g}' if isinstance(value, float) else value}{unit}"
    yield figure.status.value
    yield f"{item.age_s / 86400:.1f} days before"
    yield "valid" if item.is_valid else f"no longer valid since {item.valid_until:%Y-%m-%d}"
