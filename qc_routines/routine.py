"""What a routine is: one entry of the catalogue. Each routine's module ends with its own `ROUTINE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qc_routines.advice import Cause
from qc_routines.protocols import Protocol
from qc_routines.results import Measurement
from qc_routines.theory import Expected


@dataclass(frozen=True, slots=True)
class FigureNames:
    """A figure's unit, meaning, and its names in other programs' words.

    Attributes
    ----------
    unit : str
        As in `Figure.unit`.
    meaning : str
        One sentence.
    microscopemetrics : str or None
        Column of microscopemetrics' key measurements.
    metroloj : str or None
        Label in MetroloJ_QC and QUAREP-LiMi reports.
    """

    unit: str
    meaning: str
    microscopemetrics: str | None = None
    metroloj: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """One routine with all that belongs to it. Its limits are the section of the same name in the limits' file.

    Attributes
    ----------
    name, title : str
        For programs and for people.
    measure : callable
        Arrays and conditions to a `Measurement`; never a verdict.
    inputs : mapping
        Argument of `measure` to what is to be given there, axis order first: ``{"stack": "ZYX counts, ADU"}``.
    figures : mapping
        Figure name to unit, meaning and other names.
    protocol : callable
        Conditions to a `Protocol`.
    theory : callable or None
        Conditions to expected values; None when there is no theory.
    holds_for : tuple of str
        Parts of the light path that a result speaks of, out of objective, camera, channel and stage: a camera's
        read noise is the same behind every objective.
    causes : tuple of Cause
        For `advice.likely_causes`, in the order in which to check.
    """

    name: str
    title: str
    measure: Callable[..., Measurement]
    inputs: Mapping[str, str]
    figures: Mapping[str, FigureNames]
    protocol: Callable[..., Protocol]
    theory: Callable[..., tuple[Expected, ...]] | None = None
    holds_for: tuple[str, ...] = ("objective", "camera", "channel")
    causes: tuple[Cause, ...] = field(default=(), repr=False)
