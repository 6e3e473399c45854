"""What a routine gives back: figures with units, counts of what was left out and why, and where it all came from.

A *figure* is one number of a run (the median FWHM of all beads); an *object* is one thing that was measured (a
bead, a pair, a pixel with a defect). Units are written in ASCII: um, nm, px, deg, ADU, e-, %, ms, s, K, mW, 1.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError

Scalar = str | int | float | bool | None
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes
    ----------
    name : str
        Without the unit: ``fwhm_x``. Of several of the same kind each says in brackets which it is:
        ``shift_x[DAPI-FITC]``.
    value : float or None
        None when it could not be measured, never NaN.
    unit : str
        ASCII unit; ``1`` for ratios and counts.
    uncertainty : float or None
        Standard uncertainty (one sigma) in the same unit; None when unknown.
    n : int
        Objects or frames that entered.
    """

    name: str
    value: float | None
    unit: str
    uncertainty: float | None = None
    n: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _finite(self.value))
        object.__setattr__(self, "uncertainty", _finite(self.uncertainty))

    @property
    def stem(self) -> str:
        """Name without what is in brackets: what limits, causes and the catalogue go by."""
        return self.name.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Input:
    """What was measured on.

    Attributes
    ----------
    name : str
        Role of the array: ``stack``, ``dark``.
    sha256 : str
        Of the pixels in C order, little endian.
    shape : tuple of int
        Of the array.
    dtype : str
        Of the array.
    """

    name: str
    sha256: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run of one routine. It holds numbers and no verdict; see `qc_routines.verdict.judge`.

    Attributes
    ----------
    routine, version : str
        Name of the routine and version of its method; the version changes whenever a number may.
    figures : tuple of Figure
        All of them, also those that could not be measured.
    n_used : int
        Objects or frames that entered.
    n_rejected : mapping
        Reason to number of objects; every object has exactly one reason.
    parameters : mapping
        Settings that were used, defaults included.
    seeds : mapping
        Of random number generators; empty when nothing was random.
    inputs : tuple of Input
        Arrays that were measured on.
    software : mapping
        Package to version.
    remarks : tuple of str
        Whatever a reader must know, in sentences, such as why there are no figures.
    table : mapping
        One column for each key, one row for each object, rejected ones included. Unit at the end of the key.
    maps : mapping
        Arrays for figures and maps, unit at the end of the key. They belong to the measurement: do not change.
    """

    routine: str
    version: str
    figures: tuple[Figure, ...]
    n_used: int
    n_rejected: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    software: Mapping[str, str] = field(default_factory=lambda: software_versions())
    remarks: tuple[str, ...] = ()
    table: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [figure.name for figure in self.figures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"expected every figure of {self.routine} once; got twice {', '.join(twice)}")

    def figure(self, name: str) -> Figure:
        """Return the figure of this name; KeyError when the routine has none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(f"{self.routine} has no figure {name!r}; it has {[f.name for f in self.figures]}")

    def value(self, name: str) -> float | None:
        """Return the value of the figure of this name; None when it could not be measured."""
        return self.figure(name).value


def input_of(name: str, array: NDArray[np.generic]) -> Input:
    """Return name, hash, shape and type of an array that is measured on.

    Examples
    --------
    >>> input_of("dark", np.zeros((2, 3), np.uint16)).sha256[:12]
    '15ec7bf0b507'
    """
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    sha256 = hashlib.sha256(memoryview(little_endian).cast("B") if array.size else b"").hexdigest()
    return Input(name, sha256, tuple(array.shape), array.dtype.name)


def software_versions() -> dict[str, str]:
    """Return the versions of all that took part in a number."""
    return {"python": platform.python_version()} | {
        name: found for name in ("scopestamp", "numpy", "numba") if (found := _version(name))
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and np.isfinite(number) else None
