"""What a plot is, how it is drawn so that it never fails, and its picture in bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.figures.style import STYLE
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

DPI = 144
Theory = Mapping[str, float]
"""Figure name to value expected from theory, in the figure's unit."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One way to look at the measurements of a routine.

    Attributes
    ----------
    name : str
        For file names.
    title : str
        For people.
    caption : str
        What is to be seen, in sentences; also what is read to those who do not see it.
    needs : tuple of str
        Columns of the table or maps without which there is nothing to see.
    paint : callable
        Measurement and theory to a matplotlib figure, the style already set.
    """

    name: str
    title: str
    caption: str
    needs: tuple[str, ...]
    paint: Callable[[Measurement, Theory], Canvas]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot of one measurement.

    Attributes
    ----------
    name, title, caption : str
        As of the plot.
    canvas : matplotlib.figure.Figure or None
        None when there is nothing to see.
    missing : str
        A sentence that says why there is nothing to see; empty when there is.
    """

    name: str
    title: str
    caption: str
    canvas: Canvas | None = None
    missing: str = ""


def drawn(plot: Plot, measurement: Measurement, theory: Theory) -> Drawing:
    """Return the drawing of a measurement; a sentence in its place when it cannot be drawn."""
    from matplotlib import rc_context

    lacking = [name for name in plot.needs if not _has_numbers(data_of(measurement, name))]
    if lacking:
        return Drawing(plot.name, plot.title, plot.caption, missing=f"Not drawn: no {_listed(lacking)}.")
    try:
        with rc_context(STYLE), _quiet():
            return Drawing(plot.name, plot.title, plot.caption, plot.paint(measurement, theory))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return Drawing(plot.name, plot.title, plot.caption, missing=f"It could not be drawn: {error}.")


def data_of(measurement: Measurement, name: str) -> NDArray[Any] | None:
    """Return a column of the table, or else a map, by name; None when there is neither."""
    found = measurement.table.get(name, measurement.maps.get(name))
    return None if found is None else np.asarray(found)


def png(canvas: Canvas) -> bytes:
    """Return a figure as PNG: the same bytes from the same figure and version of matplotlib."""
    from matplotlib import rc_context

    picture = BytesIO()
    with rc_context(STYLE), _quiet():
        canvas.savefig(picture, format="png", dpi=DPI, metadata={"Software": "Scopestamp"})
    return picture.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what numpy says of sparse data and matplotlib of scripts its font has not."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def _has_numbers(values: NDArray[Any] | None) -> bool:
    if values is None or values.size == 0:
        return False
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).any())


def _listed(names: list[str]) -> str:
    return " and no ".join(name.replace("_", " ") for name in names)
