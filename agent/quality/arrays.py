"""What the figures of a run are drawn from, kept beside its record: small, and read only when somebody looks.

One .npz holds ``table/<column>`` and ``map/<name>``. Maps of more than `MOST_VALUES` numbers are kept thinned, every k-th
row and column, unless most of them are zero, as maps of defects are; ``shape/<name>`` then says how large they were, and
they come back at that size with k x k equal numbers, which drawings and histograms do not show.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.files import replace_file
from agent.records import QcResult

if TYPE_CHECKING:
    from qc_routines.results import Measurement

ARRAYS = ".npz"
MOST_VALUES = 512 * 512
MOST_ROWS = 50_000
MOST_ZEROS = 0.99
"""Part of zeros above which a map is kept whole, because it packs well."""

Array = NDArray[Any]


def keep_arrays(measurement: Measurement, path: Path) -> None:
    """Write table and maps of a measurement; nothing when it has neither."""
    held: dict[str, Array] = {}
    for name, column in measurement.table.items():
        held[f"table/{name}"] = _plain(np.asarray(column)[:MOST_ROWS])
    for name, values in measurement.maps.items():
        whole = _plain(np.asarray(values))
        held[f"map/{name}"] = kept = _thinned(whole)
        if kept.shape != whole.shape:
            held[f"shape/{name}"] = np.array(whole.shape)
    if held:
        written = BytesIO()
        np.savez_compressed(written, **held)  # type: ignore[arg-type]
        replace_file(path, written.getvalue())


def kept_measurement(result: QcResult, path: Path) -> Measurement | None:
    """Return the measurement of a record with its table and maps; None when the file cannot be read."""
    from qc_routines.results import Measurement

    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    maps = _named(arrays, "map/")
    for name, shape in _named(arrays, "shape/").items():
        maps[name] = _widened(maps[name], tuple(int(n) for n in shape))
    return Measurement(
        routine=result.routine,
        version=result.routine_version,
        figures=_figures(result),
        n_used=result.n_used,
        n_rejected=dict(result.n_rejected),
        parameters=dict(result.parameters),
        software=dict(result.software),
        remarks=result.remarks,
        table=_named(arrays, "table/"),
        maps=maps,
    )


def _figures(result: QcResult) -> tuple[Any, ...]:
    from qc_routines.results import Figure

    figures = {}
    for metric in result.metrics:  # a figure with several rules is there several times
        measured, uncertainty = metric.measured, metric.uncertainty
        value = float(measured.value) if measured else None
        unit = (measured.unit if measured else None) or "1"
        figures[metric.metric] = Figure(
            metric.metric, value, unit, float(uncertainty.value) if uncertainty else None
        )
    return tuple(figures.values())


def _named(arrays: dict[str, Array], start: str) -> dict[str, Array]:
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}


def _plain(values: Array) -> Array:
    """Return an array that needs no pickle, floats of maps and tables with single precision."""
    if values.dtype.kind == "O":
        return values.astype(str)
    return values.astype(np.float32) if values.dtype == np.float64 and values.size > MOST_VALUES else values


def _thinned(values: Array) -> Array:
    if values.size <= MOST_VALUES or np.count_nonzero(values) < (1 - MOST_ZEROS) * values.size:
        return values
    every = ceil((values.size / MOST_VALUES) ** (1 / values.ndim))
    return np.ascontiguousarray(values[(slice(None, None, every),) * values.ndim])


def _widened(values: Array, shape: tuple[int, ...]) -> Array:
    for axis, n in enumerate(shape):
        values = np.repeat(values, ceil(n / values.shape[axis]), axis=axis)
    return values[tuple(slice(n) for n in shape)]
