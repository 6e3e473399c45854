"""One run over several lines of light: each is measured by itself, and none fails the others.

A *line* is whatever light the readings are of: a laser line, a filter's channel, one lamp at one setting. Its name stands
in brackets after each of its figures: ``slope[488 nm]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.errors import InputError
from qc_routines.results import Figure, Measurement, Scalar

NOT_MEASURED = "of a line that cannot be measured"


def line_by_line(
    measure: Callable[..., Measurement], line: ArrayLike, columns: Mapping[str, ArrayLike]
) -> Measurement:
    """Return the measurements of all lines as one.

    Parameters
    ----------
    measure : callable
        Measures one line: its name, and its rows of the columns by name.
    line : array_like, (n,)
        Name of the line that each reading is of; a number is a wavelength or whatever the table says.
    columns : mapping
        Name to column, (n,).

    Raises
    ------
    InputError
        Columns differ in length, or no line can be measured.
    """
    names = np.array([_name(each) for each in np.atleast_1d(np.asarray(line))])
    arrays = {name: np.asarray(column, float) for name, column in columns.items()}
    if wrong := [name for name, column in arrays.items() if column.shape != names.shape]:
        raise InputError(
            f"expected as many {wrong[0]} as lines; got {arrays[wrong[0]].size} and {names.size}"
        )
    measured, refused = {}, {}
    for name in dict.fromkeys(names.tolist()):
        rows = names == name
        try:
            measured[name] = measure(name, **{key: column[rows] for key, column in arrays.items()})
        except InputError as error:
            refused[name] = (str(error), int(rows.sum()))
    if not measured:
        raise InputError("; ".join(f"{name}: {error}" for name, (error, _) in refused.items()))
    return _joined(measured, refused) if len(measured) + len(refused) > 1 else next(iter(measured.values()))


def of_line(values: Any, name: str, names: Sequence[str], what: str) -> float | None:
    """Return what was stated for one line: values by name, or in the order of the lines, or one for the only line.

    Raises
    ------
    InputError
        One value for several lines, or another number of them.
    """
    if values is None or isinstance(values, Mapping):
        return None if values is None else values.get(name)
    each = np.atleast_1d(np.asarray(values, float))
    if each.size != len(names):
        raise InputError(
            f"expected {what} once for each of the lines ({', '.join(names)}), in this order; got {each.size} numbers"
        )
    return float(each[list(names).index(name)])


def names_of(line: ArrayLike) -> list[str]:
    """Return the names of the lines in the order in which they come.

    Examples
    --------
    >>> names_of([488.0, 488.0, 561.0])
    ['488', '561']
    """
    return list(dict.fromkeys(_name(each) for each in np.atleast_1d(np.asarray(line))))


def _name(line: Any) -> str:
    return f"{line:g}" if isinstance(line, int | float | np.number) else str(line).strip()


def _joined(measured: Mapping[str, Measurement], refused: Mapping[str, tuple[str, int]]) -> Measurement:
    first = next(iter(measured.values()))
    rejected: Counter[str] = Counter({NOT_MEASURED: sum(n for _, n in refused.values())})
    for each in measured.values():
        rejected.update(each.n_rejected)
    blank = [Figure(figure.name, None, figure.unit) for figure in first.figures]
    figures = {name: each.figures for name, each in measured.items()} | dict.fromkeys(refused, blank)
    return Measurement(
        routine=first.routine,
        version=first.version,
        figures=tuple(
            Figure(f"{figure.name}[{name}]", figure.value, figure.unit, figure.uncertainty, figure.n)
            for name, row in figures.items()
            for figure in row
        ),
        n_used=sum(each.n_used for each in measured.values()),
        n_rejected={reason: n for reason, n in rejected.items() if n},
        parameters=_parameters(measured, list(figures)),
        remarks=tuple(
            [f"{name} cannot be measured: {error}." for name, (error, _) in refused.items()]
            + [f"{name}: {remark}" for name, each in measured.items() for remark in each.remarks]
        ),
        table=_table(measured),
    )


def _parameters(measured: Mapping[str, Measurement], names: Sequence[str]) -> dict[str, Scalar]:
    """Return what holds for all lines once, and what differs with the line in brackets."""
    parameters: dict[str, Scalar] = {"lines": ", ".join(names)}
    first = next(iter(measured.values()))
    for key, value in first.parameters.items():
        if all(each.parameters.get(key) == value for each in measured.values()):
            parameters[key] = value
        else:
            parameters |= {f"{key}[{name}]": each.parameters.get(key) for name, each in measured.items()}
    return parameters


def _table(measured: Mapping[str, Measurement]) -> dict[str, NDArray[Any]]:
    rows = [len(next(iter(each.table.values()))) for each in measured.values()]
    table: dict[str, NDArray[Any]] = {"line": np.repeat(list(measured), rows)}
    for key in next(iter(measured.values())).table:
        table[key] = np.concatenate([each.table[key] for each in measured.values()])
    return table
