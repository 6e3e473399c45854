"""From what was seen to findings, each naming the device, the property and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agent.conformance.exercise import Seen
from agent.conformance.findings import (
    AcquisitionTrial,
    Finding,
    MoveTrial,
    Offer,
    PresetTrial,
    PropertyFacts,
    Read,
    Severity,
    Trial,
)

SLOW_MS = 20.0
"""The agent polls a property that takes longer less often."""

_ENDED = {"failed": "raised", "hung": "hangs", "crashed": "ends the process"}


def judge(
    seen: Seen, offers: Iterable[Offer], acquisition: AcquisitionTrial | None = None
) -> tuple[Finding, ...]:
    """Return the findings, the worst first."""
    found: list[Finding] = []
    if seen.ended_early:
        text = (
            f"did not load again after a device hung or crashed; the rest was not tried: {seen.ended_early}"
        )
        found.append(Finding(Severity.ERROR, "load", "Core", "", text))
    for read in seen.reads:
        found += _of_read(read)
    for trial in seen.trials:
        found += _of_trial(trial)
    found += _unannounced(seen.trials)
    for preset in seen.presets:
        found += _of_preset(preset)
    for move in seen.moves:
        found += _of_move(move)
    if acquisition is not None:
        found += _of_acquisition(acquisition)
    for offer in offers:
        if offer.lacking:
            text = f"offers no property for: {', '.join(offer.lacking)}"
            found.append(Finding(Severity.NOTE, "standard", offer.device, "", text))
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: list(Severity).index(finding.severity)))


def _of_acquisition(trial: AcquisitionTrial) -> Iterable[Finding]:
    if trial.status != "ok":
        words = {"failed": "did not succeed", "hung": "hangs", "crashed": "ends the process"}[trial.status]
        yield Finding(
            Severity.ERROR, "acquisition", "Core", "", f"a small acquisition {words}: {trial.error}"
        )
    elif trial.n_expected is not None and trial.n_frames != trial.n_expected:
        text = f"a small acquisition gave {trial.n_frames} frames of {trial.n_expected}"
        yield Finding(Severity.ERROR, "acquisition", "Core", "", text)
    for problem in trial.problems:
        yield Finding(Severity.WARNING, "acquisition", "Core", "", problem)


def _of_read(read: Read) -> Iterable[Finding]:
    facts = read.facts
    if read.status != "ok":
        yield _error("read", facts, f"the getter {_ENDED[read.status]}: {read.error}")
        return
    if read.median_ms is not None and read.median_ms > SLOW_MS:
        text = f"reading takes {read.median_ms:.0f} ms; more than {SLOW_MS:.0f} ms: keep the value in the adapter"
        yield Finding(Severity.WARNING, "speed", facts.device, facts.name, text)
    yield from _of_value(facts, str(read.raw))


def _of_value(facts: PropertyFacts, raw: str) -> Iterable[Finding]:
    """Hold a value against what is declared of it."""
    number = _number(raw)
    if facts.value_type in ("integer", "float") and number is None:
        yield _error("type", facts, f"is declared {facts.value_type}, but its value is {raw!r}")
    elif facts.value_type == "integer" and number is not None and not float(number).is_integer():
        yield _error("type", facts, f"is declared integer, but its value is {raw!r}")
    if facts.allowed_values and not any(_is_same(facts, raw, value) for value in facts.allowed_values):
        shown = ", ".join(repr(value) for value in facts.allowed_values[:8])
        yield _error("allowed values", facts, f"its value {raw!r} is none of those it allows: {shown}")
    if facts.lower_limit is not None and facts.upper_limit is not None:
        yield from _of_limits(facts, facts.lower_limit, facts.upper_limit, number)


def _of_limits(facts: PropertyFacts, lower: float, upper: float, number: float | None) -> Iterable[Finding]:
    if lower > upper:
        yield _error("limits", facts, f"its lower limit {lower:g} is above its upper limit {upper:g}")
    elif number is not None and not (lower <= number <= upper):
        yield _error("limits", facts, f"its value {number:g} is outside its limits {lower:g} to {upper:g}")


def _of_trial(trial: Trial) -> Iterable[Finding]:
    facts, check = trial.facts, "restore" if trial.is_restore else "round trip"
    if trial.status == "failed":
        allowed = "its former value" if trial.is_restore else "a value that it says it allows"
        yield _error(check, facts, f"refuses {trial.value!r}, {allowed}: {trial.error}")
    elif trial.status != "ok":
        text = f"setting {trial.value!r} {_ENDED[trial.status]}: {trial.error}; {trial.before!r} was not put back"
        yield _error(check, facts, text)
    elif not _is_same(facts, trial.value, str(trial.read_back)):
        yield _error(check, facts, f"set to {trial.value!r}, reads back {trial.read_back!r}")


def _unannounced(trials: Iterable[Trial]) -> Iterable[Finding]:
    """Name properties that changed and never said so."""
    changed: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        is_change = trial.status == "ok" and not trial.is_restore and trial.read_back != trial.before
        if is_change:
            changed.setdefault((trial.facts.device, trial.facts.name), []).append(trial)
    for (device, name), tried in changed.items():
        if all(trial.notified_ms is None for trial in tried):
            text = (
                f"changed without a notification within {tried[0].waited_ms:.0f} ms: call OnPropertyChanged"
            )
            yield Finding(Severity.WARNING, "notification", device, name, text)


def _of_preset(trial: PresetTrial) -> Iterable[Finding]:
    name = f"@preset {trial.group}/{trial.preset}"
    if trial.status != "ok":
        text = f"setting the preset {_ENDED[trial.status]}: {trial.error}"
        yield Finding(Severity.ERROR, "preset", "Core", name, text)
        return
    silent = [key for key in trial.changed if key not in (trial.notified_ms or {})]
    if silent:
        text = f"changed without a notification: {', '.join(silent)}"
        yield Finding(Severity.WARNING, "notification", "Core", name, text)


def _of_move(move: MoveTrial) -> Iterable[Finding]:
    if move.status != "ok":
        text = f"moving by {move.distance_um:g} um {_ENDED[move.status]}: {move.error}"
        yield Finding(Severity.ERROR, "move", move.device, "@position", text)
        return
    if move.moved_um is None or abs(move.moved_um - move.distance_um) > 0.5:
        text = f"told to move by {move.distance_um:g} um, says that it moved by {move.moved_um:g} um"
        yield Finding(Severity.ERROR, "move", move.device, "@position", text)
    if not move.is_back:
        text = "was moved back, but says that it is not where it was"
        yield Finding(Severity.ERROR, "restore", move.device, "@position", text)
    if move.notified_ms is None:
        text = "moved without a notification: call OnStagePositionChanged or OnXYStagePositionChanged"
        yield Finding(Severity.WARNING, "notification", move.device, "@position", text)


def _error(check: str, facts: PropertyFacts, text: str) -> Finding:
    return Finding(Severity.ERROR, check, facts.device, facts.name, text)


def _number(raw: str) -> float | None:
    try:
        number = float(raw)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_same(facts: PropertyFacts, one: str, other: str) -> bool:
    """Return whether two values are one: Micro-Manager writes numbers with four decimals."""
    if one == other:
        return True
    a, b = _number(one), _number(other)
    if a is None or b is None or facts.value_type == "string":
        return False
    return math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4)
