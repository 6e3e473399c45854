"""Tables of numbers: which routines measure them, and which columns they want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.quality.stacks import StackError
from qc_routines.routine import Routine

COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "linearity": (("light", "signal_adu"), ()),
    "power_linearity": (("setting_percent", "power_mw"), ("line",)),
    "power_stability": (("time_s", "power_mw"), ("temperature_c", "line")),
    "sample_power": (("power_mw",), ("line",)),
    "autofocus": (("recovered_um", "defocus_um"), ("true_um",)),
    "axial_steps": (("commanded_um", "measured_um"), ("direction",)),
}
"""By name of the routine: columns it needs, and others it takes."""
OF_NAMES = ("line",)
"""Columns that hold names, not numbers."""


def check_table(routine: Routine, columns: Mapping[str, Sequence[Any]]) -> None:
    """Raise StackError for a table that does not hold what a routine measures."""
    if routine.name not in COLUMNS:
        raise StackError(
            f"{routine.title} is measured on images; a table of numbers was given. Name the images."
        )
    needed, further = COLUMNS[routine.name]
    wanted = f"{routine.title} wants {' and '.join(needed)}"
    wanted += f", and takes {' and '.join(further)}" if further else ""
    if lacking := [name for name in needed if name not in columns]:
        has = ", ".join(columns)
        raise StackError(f"The table has no column {' and no '.join(lacking)}; it has {has}. {wanted}.")
    if unknown := [name for name in columns if name not in (*needed, *further)]:
        raise StackError(
            f"The table has a column {unknown[0]!r} that means nothing here: take it out. {wanted}."
        )
    for name, column in columns.items():
        if name not in OF_NAMES:
            _check_numbers(name, column)


def _check_numbers(name: str, column: Sequence[Any]) -> None:
    for row, entry in enumerate(column, 1):
        if isinstance(entry, str) and not _is_number(entry):
            raise StackError(
                f"The table has {entry!r} in row {row} of {name}, where a number is wanted. Leave the cell empty where "
                "nothing was read."
            )


def _is_number(text: str) -> bool:
    try:
        float(text.strip() or "nan")
    except ValueError:
        return False
    return True
