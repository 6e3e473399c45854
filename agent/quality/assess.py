"""Measure and judge: from what a routine is given to a verdict with where every fact came from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.errors import CaptureError, SettingsError
from agent.quality.adapters import ADAPTERS
from agent.quality.given import Given
from agent.quality.tables import check_table
from qc_routines.catalogue import ROUTINES
from qc_routines.errors import InputError
from qc_routines.results import Measurement
from qc_routines.routine import Routine
from qc_routines.tolerances import Tolerance, read_tolerances
from qc_routines.verdict import Verdict, judge

TOLERANCES = "qc_tolerances.toml"


class MeasureError(CaptureError):
    """These images cannot be measured; the message says why."""


def routine_named(name: str) -> Routine:
    """Return a routine of the catalogue.

    Raises
    ------
    SettingsError
        There is none of this name.
    """
    if name not in ROUTINES:
        raise SettingsError(f"There is no routine {name!r}; there are: {', '.join(ROUTINES)}.")
    return ROUTINES[name]


def limits(own: Path | None = None) -> tuple[Tolerance, ...]:
    """Return the limits that come with Scopestamp, replaced by those of one instrument where it has its own.

    Raises
    ------
    SettingsError
        A file of limits is missing or wrong.
    """
    import qc_routines

    package = Path(qc_routines.__file__).parent
    places = (package / TOLERANCES, package.parent / "config" / TOLERANCES)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SettingsError(
            f"The limits {TOLERANCES} are missing from this installation; install Scopestamp anew."
        )
    try:
        return read_tolerances(found, *([own] if own else []))
    except (InputError, OSError) as error:
        raise SettingsError(f"The limits cannot be read: {error}") from error


def assess(
    routine: Routine,
    given: Given,
    *,
    extra: Mapping[str, Any] | None = None,
    baseline: Mapping[str, float] | None = None,
    own_limits: Path | None = None,
) -> Verdict:
    """Return the verdict of a routine.

    Parameters
    ----------
    routine : Routine
        What to measure.
    given : Given
        Files and facts.
    extra : mapping, optional
        Further arguments of its `measure`, by name.
    baseline : mapping, optional
        Figures at time zero.
    own_limits : Path, optional
        Limits of this instrument.

    Raises
    ------
    MeasureError
        The images cannot be measured.
    MissingFactError, StackError, SettingsError
        Something is not known, not there, or wrong.
    """
    tolerances = limits(own_limits)
    try:
        if given.columns:
            check_table(routine, given.columns)
        prepared = ADAPTERS[routine.name](given)
        measurement = routine.measure(**(prepared.arguments | _known_extra(routine, extra or {})))
    except InputError as error:
        raise MeasureError(f"{routine.title} cannot be measured: {str(error).rstrip('.')}.") from error
    return judge(_with_sources(measurement, given), tolerances, prepared.expected, baseline)


def _known_extra(routine: Routine, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the further facts that are arguments of the measurement, beside what it is measured on."""
    parameters = inspect.signature(routine.measure).parameters.keys() - routine.inputs.keys()
    return {name: value for name, value in extra.items() if name in parameters}


def _with_sources(measurement: Measurement, given: Given) -> Measurement:
    """Return the measurement with all facts, and where they came from, in its parameters and remarks."""
    facts = given.facts
    stated = {
        name: value for name, value in facts.used.items() if isinstance(value, str | int | float | bool)
    }
    sources = {f"{name}_from": source for name, source in facts.sources.items()}
    return replace(
        measurement,
        parameters={**stated, **measurement.parameters, **sources},
        remarks=(*measurement.remarks, *facts.remarks()),
    )
