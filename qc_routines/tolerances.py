"""Limits as data: each with its source and whether that source was read (`verified`).

The file has one table array for each routine::

    [[psf]]
    figure = "fwhm_x"
    against = "expected"      # value | expected | baseline
    by = "ratio"              # ratio | difference; not for value
    warn_above = 1.5          # also warn_below, fail_above, fail_below
    source = "Faklaris et al. 2022, doi:10.1083/jcb.202107093, Table 1"
    verified = true

A file of one instrument has the same layout; its entry for a figure and a comparison replaces the general one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from qc_routines.errors import InputError


class Against(StrEnum):
    """What a figure is compared with."""

    VALUE = "value"
    EXPECTED = "expected"
    BASELINE = "baseline"


class By(StrEnum):
    """How a figure is compared with an expected value or a baseline."""

    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits of one figure. Equal to a limit still passes.

    Attributes
    ----------
    routine, figure : str
        Names.
    against : Against
        The value itself, its expected value or its baseline.
    by : By
        Ratio (limits without unit) or difference (limits in the figure's unit); ignored for the value itself.
    warn_below, warn_above, fail_below, fail_above : float or None
        At least one is set.
    source : str
        Where the limits are from.
    verified : bool
        Whether that source was read; false for recollections and for our own proposals.
    """

    routine: str
    figure: str
    source: str
    verified: bool
    against: Against = Against.VALUE
    by: By = By.RATIO
    warn_below: float | None = None
    warn_above: float | None = None
    fail_below: float | None = None
    fail_above: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "against", Against(self.against))
        object.__setattr__(self, "by", By(self.by))

    def pass_limits(self, reference: float | None) -> tuple[float | None, float | None]:
        """Return the limits between which the figure passes, in its unit."""
        lows = [x for x in (self.warn_below, self.fail_below) if x is not None]
        highs = [x for x in (self.warn_above, self.fail_above) if x is not None]
        return self._scaled(max(lows, default=None), reference), self._scaled(
            min(highs, default=None), reference
        )

    def fail_limits(self, reference: float | None) -> tuple[float | None, float | None]:
        """Return the limits outside which the figure fails, in its unit."""
        return self._scaled(self.fail_below, reference), self._scaled(self.fail_above, reference)

    def _scaled(self, limit: float | None, reference: float | None) -> float | None:
        if limit is None or self.against is Against.VALUE or reference is None:
            return limit
        return limit * reference if self.by is By.RATIO else limit + reference

    def __str__(self) -> str:
        what = self.figure
        if self.against is not Against.VALUE:
            what += f" {'/' if self.by is By.RATIO else '-'} {self.against}"
        limits = [
            f"{word} {sign} {limit:g}"
            for word, sign, limit in (
                ("warn", "<", self.warn_below),
                ("warn", ">", self.warn_above),
                ("fail", "<", self.fail_below),
                ("fail", ">", self.fail_above),
            )
            if limit is not None
        ]
        return (
            f"{what}: {', '.join(limits)} ({self.source}; {'verified' if self.verified else 'not verified'})"
        )


def read_tolerances(path: Path, *instrument_paths: Path) -> tuple[Tolerance, ...]:
    """Return the limits of a file, replaced where a later file has its own.

    Raises
    ------
    InputError
        A file that is no TOML or holds something else than limits; the message names file and entry.
    """
    limits: dict[tuple[str, str, Against, By], Tolerance] = {}
    for file in (path, *instrument_paths):
        for tolerance in _parsed(file):
            limits[tolerance.routine, tolerance.figure, tolerance.against, tolerance.by] = tolerance
    return tuple(limits.values())


def _parsed(path: Path) -> list[Tolerance]:
    try:
        routines = tomllib.loads(path.read_text("utf-8"))
        return [
            _tolerance(routine, entry)
            for routine, entries in routines.items()
            for entry in _entries(routine, entries)
        ]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"expected limits in {path}; {error}") from error


def _entries(routine: str, entries: Any) -> list[Any]:
    if not isinstance(entries, list):
        raise InputError(f"expected [[{routine}]] with one table for each limit; got {entries!r}")
    return entries


def _tolerance(routine: str, entry: Mapping[str, Any]) -> Tolerance:
    known = {item.name for item in fields(Tolerance)} - {"routine"}
    if unknown := sorted(set(entry) - known):
        raise InputError(f"expected of {routine} only {sorted(known)}; got {', '.join(unknown)}")
    if missing := sorted({"figure", "source", "verified"} - set(entry)):
        raise InputError(f"expected {', '.join(missing)} in {routine}: {dict(entry)}")
    limits = {key: _limit(routine, key, entry[key]) for key in entry if key.startswith(("warn_", "fail_"))}
    if not limits:
        raise InputError(f"expected at least one limit in {routine}: {dict(entry)}")
    return Tolerance(
        routine=routine,
        figure=str(entry["figure"]),
        source=str(entry["source"]),
        verified=entry["verified"] is True,
        against=entry.get("against", Against.VALUE),
        by=entry.get("by", By.RATIO),
        **limits,
    )


def _limit(routine: str, key: str, limit: Any) -> float:
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise InputError(f"expected a number for {key} of {routine}; got {limit!r}")
    return float(limit)
