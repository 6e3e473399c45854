"""Options of the command line as facts and further arguments."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.errors import SettingsError
from agent.quality.facts import IMMERSION_INDEX, WORDINGS
from qc_routines.conditions import Mode
from qc_routines.routine import Routine

FURTHER_FACTS = (
    "offset_adu", "read_noise_e", "full_scale_adu", "sensor_temperature_c", "sensor_pitch_um", "magnification",
    "interval_s", "meter", "meter_unit", "light", "thermometer", "reference_mw",
)  # fmt: skip
"""Facts that a measurement can do without; stated with --set."""


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
    """Return --set name=value: numbers, lists of numbers, or texts."""
    known = {*WORDINGS, *FURTHER_FACTS}
    known |= inspect.signature(routine.measure).parameters.keys() - routine.inputs.keys()
    known |= inspect.signature(routine.protocol).parameters.keys() - {"optics", "channel", "channels"}
    found = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name not in known:
            raise SettingsError(f"--set {pair}: {routine.name} knows {', '.join(sorted(known))}.")
        found[name] = _value(text)
    return found


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
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The table {path} cannot be read: {error}.") from error
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise SettingsError(f"{path} is no table: wanted is a heading and rows as long as it.")
    names = [name.strip() for name in rows[0]]
    return {name: _typed([row[k] for row in rows[1:]]) for k, name in enumerate(names)}


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
