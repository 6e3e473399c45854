"""A measurement against theory, time zero and limits: pass, warn, fail or unknown, and the rule that said so.

The value is kept whatever the verdict is. Limits are data, see `config/qc_tolerances.toml`; here are only rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qc_routines.results import Figure, Measurement
from qc_routines.theory import Expected
from qc_routines.tolerances import Against, Tolerance


class Status(StrEnum):
    """What a rule says of a figure. The worst counts for the run, in this order: fail, warn, unknown, pass."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


WORST_FIRST = (Status.FAIL, Status.WARN, Status.UNKNOWN, Status.PASS)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule says of one figure.

    Attributes
    ----------
    figure : Figure
        As measured.
    status : Status
        What the rule says.
    rule : str
        In words, with its limits and where they are from.
    expected : Expected or None
        From theory, when there is a formula and all it needs is known.
    baseline : float or None
        Time zero of this instrument, in the figure's unit.
    lower_limit, upper_limit : float or None
        Between these it passes, in the figure's unit.
    """

    figure: Figure
    status: Status
    rule: str
    expected: Expected | None = None
    baseline: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All judgements of one run and the worst of them.

    Attributes
    ----------
    measurement : Measurement
        What was judged.
    status : Status
        The worst; unknown when no rule applied to anything that was measured.
    judgements : tuple of Judgement
        At least one for each figure.
    """

    measurement: Measurement
    status: Status
    judgements: tuple[Judgement, ...]


def judge(
    measurement: Measurement,
    tolerances: Sequence[Tolerance] = (),
    expected: Sequence[Expected] = (),
    baseline: Mapping[str, float] | None = None,
) -> Verdict:
    """Return what the rules say of every figure of a run.

    Parameters
    ----------
    measurement : Measurement
        The run.
    tolerances : sequence of Tolerance
        Limits; those of other routines and figures are passed over. A limit of `shift_x` holds for every
        `shift_x[...]`.
    expected : sequence of Expected
        Values from theory, matched to figures by name.
    baseline : mapping, optional
        Figure name to value at time zero, in the figure's unit.

    Notes
    -----
    A figure without a limit, without a value or without the number it is compared with is *unknown*. Figures that
    nobody set a limit for do not make the run unknown: the status of the run is the worst of those with a limit. Nor
    does a limit against a baseline that is not there: the first run of an instrument has none.
    """
    from_theory = {item.figure: item for item in expected}
    at_time_zero = dict(baseline or {})
    judgements: list[Judgement] = []
    is_ruled: list[Status] = []
    for figure in measurement.figures:
        names = (figure.name, figure.stem)
        rules = [t for t in tolerances if t.routine == measurement.routine and t.figure in names]
        theory = from_theory.get(figure.name, from_theory.get(figure.stem))
        zero = at_time_zero.get(figure.name)
        found = [_judged(figure, rule, theory, zero) for rule in rules]
        counting = [j for j, rule in zip(found, rules, strict=True) if not _is_time_zero(rule, zero)]
        is_ruled += [judgement.status for judgement in counting]
        judgements += found or [Judgement(figure, Status.UNKNOWN, "no limit set", theory, zero)]
    return Verdict(measurement, worst(is_ruled), tuple(judgements))


def worst(statuses: Sequence[Status]) -> Status:
    """Return the worst status; unknown of none.

    Examples
    --------
    >>> worst([Status.PASS, Status.UNKNOWN, Status.WARN]).value
    'warn'
    """
    return next((status for status in WORST_FIRST if status in statuses), Status.UNKNOWN)


def _judged(figure: Figure, rule: Tolerance, theory: Expected | None, zero: float | None) -> Judgement:
    expected = None if theory is None else theory.value
    compared_with = {Against.VALUE: None, Against.EXPECTED: expected, Against.BASELINE: zero}[rule.against]
    if figure.value is None:
        return Judgement(figure, Status.UNKNOWN, f"not measured; rule: {rule}", theory, zero)
    if rule.against is not Against.VALUE and compared_with is None:
        return Judgement(figure, Status.UNKNOWN, f"no {rule.against} value; rule: {rule}", theory, zero)
    lower, upper = rule.pass_limits(compared_with)
    status = Status.PASS
    if not _is_inside(figure.value, *rule.fail_limits(compared_with)):
        status = Status.FAIL
    elif not _is_inside(figure.value, lower, upper):
        status = Status.WARN
    return Judgement(figure, status, str(rule), theory, zero, lower, upper)


def _is_time_zero(rule: Tolerance, zero: float | None) -> bool:
    return rule.against is Against.BASELINE and zero is None


def _is_inside(value: float, lower: float | None, upper: float | None) -> bool:
    return (lower is None or value >= lower) and (upper is None or value <= upper)
