"""A verdict as a published record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from agent.mint import Mint
from agent.records import QcAdvice, QcInput, QcMetric, QcResult, QcStatus, Quantity, Source
from qc_routines.advice import Cause, likely_causes
from qc_routines.routine import Routine
from qc_routines.verdict import Judgement, Verdict

MOST_ADVICE = 5


def qc_result(
    mint: Mint,
    routine: Routine,
    verdict: Verdict,
    *,
    light_path: Mapping[str, str] | None = None,
    acquisition_id: UUID | None = None,
    files: Sequence[QcInput] = (),
    run_id: UUID | None = None,
    valid_for: timedelta | None = None,
) -> QcResult:
    """Return the record of one run of a routine.

    Parameters
    ----------
    mint : Mint
        Makes the record.
    routine : Routine
        What was run.
    verdict : Verdict
        What came out.
    light_path : mapping, optional
        Objective, camera and channel it holds for.
    acquisition_id : UUID, optional
        The acquisition that was measured.
    files : sequence of QcInput
        The files that were measured on, beside the arrays themselves.
    run_id : UUID, optional
        Names the run; a new one when omitted.
    valid_for : timedelta, optional
        After that the routine is due again, by its protocol.
    """
    measurement = verdict.measurement
    now = mint.clock.wall_at()
    return mint.make(
        QcResult,
        run_id=run_id or uuid4(),
        routine=routine.name,
        routine_version=measurement.version,
        acquisition_id=acquisition_id,
        light_path=dict(light_path or {}),
        metrics=tuple(_metric(judgement, now) for judgement in verdict.judgements),
        status=QcStatus(verdict.status),
        n_used=measurement.n_used,
        n_rejected=dict(measurement.n_rejected),
        parameters={name: value for name, value in measurement.parameters.items() if value is not None},
        seeds=dict(measurement.seeds),
        inputs=(*files, *(QcInput(name=array.name, sha256=array.sha256) for array in measurement.inputs)),
        remarks=measurement.remarks,
        advice=tuple(_advice(cause) for cause in likely_causes(verdict, routine.causes)[:MOST_ADVICE]),
        software=dict(measurement.software),
        valid_until=now + valid_for if valid_for else None,
    )


def _metric(judgement: Judgement, now: datetime) -> QcMetric:
    figure = judgement.figure

    def quantity(value: float | None, source: Source, note: str | None = None) -> Quantity | None:
        if value is None:
            return None
        return Quantity(value=value, unit=figure.unit, source=source, observed_at=now, note=note)

    expected = judgement.expected
    return QcMetric(
        metric=figure.name,
        measured=quantity(figure.value, Source.QC),
        uncertainty=quantity(figure.uncertainty, Source.QC),
        expected=quantity(expected.value, Source.DERIVED, f"{expected.formula_id}; {expected.source}")
        if expected
        else None,
        baseline=quantity(judgement.baseline, Source.QC),
        lower_limit=judgement.lower_limit,
        upper_limit=judgement.upper_limit,
        status=QcStatus(judgement.status),
        rule=judgement.rule,
    )


def _advice(cause: Cause) -> QcAdvice:
    return QcAdvice(finding=cause.finding, check=cause.check, source=cause.source)
