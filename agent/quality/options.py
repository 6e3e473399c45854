"""Options of the command line as facts and further arguments."""

from __future__ import annotations

import csv
import inspect
import io
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from agent.errors import SettingsError
from agent.quality.facts import IMMERSION_INDEX, WORDINGS
from qc_routines.conditions import Mode
from qc_routines.routine import Routine

FURTHER_FACTS = (
    "offset_adu", "read_noise_e", "full_scale_adu", "sensor_temperature_c", "sensor_pitch_um", "magnification",
    "interval_s", "meter", "meter_unit", "light", "thermometer", "reference_mw", "settle_z_s",
)  # fmt: skip
"""Facts that a measurement can do without; stated with --set."""
_OBJECTS = re.compile(r"Camera|Optics|Rules|NDArray|ArrayLike|Moments|dict\[")
_SEVERAL = ("tuple[", "Sequence[")
_IN_UNITS = re.compile(
    r"_(um|nm|ms|s|h|e|adu|mw|c|percent|fraction)$|^magnification$|^numerical_aperture$|^immersion_index$"
)


def facts_of(
    routine: Routine,
    *,
    na: float | None = None,
    immersion: str = "",
    emission_nm: str = "",
    excitation_nm: str = "",
    voxel_um: str = "",
    bead_um: float | None = None,
    mode: str = "",
    positions: Path | None = None,
    reference: Path | None = None,
    further: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what the options state, by name of the fact.

    Raises
    ------
    SettingsError
        An option cannot be read, or the routine knows no such argument.
    """
    stated = {
        "numerical_aperture": na,
        "immersion_index": _immersion(immersion),
        "emission_nm": _numbers(emission_nm, "--emission-nm") or None,
        "excitation_nm": _numbers(excitation_nm, "--excitation-nm") or None,
        "bead_diameter_um": bead_um,
        "mode": _mode(mode),
        "stage_yx_um": _positions(positions) if positions else None,
        "reference_image": str(reference) if reference else None,
        **_voxel(voxel_um),
        **_further(routine, further),
    }
    return {name: value for name, value in stated.items() if value is not None}


def _mode(text: str) -> str | None:
    if text and text not in list(Mode):
        raise SettingsError(f"--mode is one of {', '.join(Mode)}; got {text!r}.")
    return text or None


def _immersion(text: str) -> float | None:
    if not text:
        return None
    if text.lower() in IMMERSION_INDEX:
        return IMMERSION_INDEX[text.lower()]
    try:
        return float(text)
    except ValueError:
        raise SettingsError(
            f"--immersion is {', '.join(IMMERSION_INDEX)} or a refractive index; got {text!r}."
        ) from None


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SettingsError(f"{option} takes numbers with commas between them; got {text!r}.") from None


def _voxel(text: str) -> dict[str, float]:
    sizes = _numbers(text, "--voxel-um")
    if sizes and len(sizes) not in (2, 3):
        raise SettingsError(f"--voxel-um takes Z,Y,X or Y,X in um; got {text!r}.")
    return dict(zip(("voxel_z_um", "voxel_y_um", "voxel_x_um")[3 - len(sizes) :], sizes, strict=True))


def _further(routine: Routine, pairs: Sequence[str]) -> dict[str, Any]:
    """Return what --set NAME=VALUE states: numbers, lists of numbers, or texts."""
    asked, known = inspect.signature(routine.protocol).parameters, known_to(routine)
    found = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name not in known:
            raise SettingsError(f"--set {pair}: {routine.name} knows {', '.join(sorted(known))}.")
        value = _checked(pair, name, _value(text))
        wants_several = str(asked[name].annotation).startswith(_SEVERAL) if name in asked else False
        found[name] = [value] if wants_several and not isinstance(value, list) else value
    return found


def known_to(routine: Routine) -> set[str]:
    """Return the names of the facts and arguments that a run of a routine may state."""
    measured = inspect.signature(routine.measure).parameters
    asked = inspect.signature(routine.protocol).parameters
    known = {*WORDINGS, *FURTHER_FACTS}
    known |= {name for name, each in measured.items() if name not in routine.inputs and _is_plain(each)}
    known |= {name for name, each in asked.items() if name not in ("channel", "channels") and _is_plain(each)}
    return known


def _is_plain(parameter: inspect.Parameter) -> bool:
    """Return whether an argument is numbers or a text, not an object or an array."""
    return not _OBJECTS.search(str(parameter.annotation))


def _checked(pair: str, name: str, value: Any) -> Any:
    """Return the value of an option of this name; a name tells by its unit that a number is meant."""
    numbers = value if isinstance(value, list) else [value]
    are_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    if name.startswith("is_") and not isinstance(value, bool):
        raise SettingsError(f"--set {pair}: {name} is true or false.")
    if name.startswith("n_") and not (are_numbers and isinstance(value, int) and value > 0):
        raise SettingsError(f"--set {pair}: {name} is a whole number, from 1 on.")
    if _IN_UNITS.search(name) and not (are_numbers and all(isfinite(each) for each in numbers)):
        raise SettingsError(f"--set {pair}: {name} is a number, or several with commas between them.")
    return value


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return text
    plain = [int(number) if part.strip().lstrip("+-").isdigit() else number
             for number, part in zip(numbers, text.split(","), strict=True)]  # fmt: skip
    return plain if len(plain) > 1 else plain[0]


def _positions(path: Path) -> list[tuple[float, float]]:
    columns = read_columns(path)
    if not {"y_um", "x_um"} <= columns.keys():
        raise SettingsError(f"{path} has the columns {', '.join(columns)}; y_um and x_um are wanted.")
    return list(zip(columns["y_um"], columns["x_um"], strict=True))


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a table with a heading, numbers where all entries are numbers; empty ones are NaN.

    Raises
    ------
    SettingsError
        It cannot be read, or rows differ in length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The table {path} cannot be read: {error}.") from error
    rows = _rows(text)
    if len(rows) < 2:
        raise SettingsError(f"{path} is no table: wanted is a heading, and below it a row for each reading.")
    if uneven := [n for n, row in enumerate(rows) if len(row) != len(rows[0])]:
        row = rows[uneven[0]]
        raise SettingsError(
            f"{path} is no table: row {uneven[0]} has {len(row)} cells, and the heading has {len(rows[0])}."
        )
    names = [name.strip() for name in rows[0]]
    return {name: _typed([row[k] for row in rows[1:]]) for k, name in enumerate(names)}


def _rows(text: str) -> list[list[str]]:
    """Return the cells of all rows; with semicolons or tabs between them, as spreadsheets write, also decimal commas."""
    heading = text.partition("\n")[0]
    delimiter = next((sign for sign in ";\t" if sign in heading and "," not in heading), ",")
    rows = [
        row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)
    ]
    return rows if delimiter == "," else [[cell.replace(",", ".") for cell in row] for row in rows]


def _typed(texts: Sequence[str]) -> list[Any]:
    try:
        return [float(text.strip() or "nan") for text in texts]
    except ValueError:
        return list(texts)


def properties_of(pairs: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """Return DEVICE-PROPERTY=VALUE; the device's label ends at the first hyphen.

    Raises
    ------
    SettingsError
        One is not of this form.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        device, hyphen, name = key.partition("-")
        if not (sign and hyphen and device and name):
            raise SettingsError(f"--property takes DEVICE-PROPERTY=VALUE; got {pair!r}.")
        found[device, name] = value
    return found
