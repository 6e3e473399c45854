"""From files and facts to the arguments of each routine's `measure`, and to what theory expects.

One function for each routine; a routine that measures numbers takes them from the columns of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.quality.given import BRIGHT, DARK, MAIN, Given
from agent.quality.stacks import Stack, StackError, read_stack
from qc_routines import autofocus, axial, line_pairs, pixel_size, psf, registration, thin_layer
from qc_routines.camera import pixel_moments
from qc_routines.errors import InputError, counted
from qc_routines.focus import best_focus
from qc_routines.image_positions import image_positions
from qc_routines.stairs import stairs_in
from qc_routines.theory import Expected

LEAST_PLACED = 4


@dataclass(frozen=True)
class Prepared:
    """What a routine is called with.

    Attributes
    ----------
    arguments : dict
        Of its `measure`.
    expected : tuple of Expected
        From theory, as far as it is known.
    """

    arguments: dict[str, Any]
    expected: tuple[Expected, ...] = ()


def _psf(given: Given) -> Prepared:
    channel = given.channel_index(given.one())
    optics, bead_um = given.optics(channel), given.facts.find("bead_diameter_um")
    arguments = {
        "stack": given.array("zyx"),
        "voxel": given.voxel(),
        "optics": optics,
        "camera": given.camera(),
        "bead_diameter_um": bead_um,
    }
    return Prepared(arguments, psf.ROUTINE.theory(optics, bead_um) if psf.ROUTINE.theory else ())


def _registration(given: Given) -> Prepared:
    stack = given.one()
    if "c" not in stack.axes or stack.data.shape[stack.axes.index("c")] < 2:
        raise StackError(
            f"{stack.path} has one channel; registration wants at least two in one file, of the same beads."
        )
    images = given.axes_of(stack, "czyx")
    names = _channel_names(stack, len(images))
    arguments = {
        "stacks": dict(zip(names, images, strict=True)),
        "voxel": given.voxel(),
        "optics": {name: given.optics(number) for number, name in enumerate(names)},
        "camera": given.camera(),
        "bead_diameter_um": given.facts.find("bead_diameter_um"),
    }
    return Prepared(arguments, registration.ROUTINE.theory() if registration.ROUTINE.theory else ())


def _channel_names(stack: Stack, n: int) -> list[str]:
    names = [channel.name for channel in stack.channels]
    return names if len(set(names)) == n and all(names) else [f"channel {number}" for number in range(n)]


def _illumination(given: Given) -> Prepared:
    dark: Any = given.facts.find("offset_adu")
    if given.stacks.get(DARK):
        dark = given.frames(given.one(DARK)).mean(axis=0)
    return Prepared(
        {
            "image": given.array("yx"),
            "dark": dark,
            "pixel_size_um": given.pixel_um(is_needed=False),
            "saturation_adu": given.facts.find("full_scale_adu"),
        }
    )


def _illumination_change(given: Given) -> Prepared:
    reference = read_stack(Path(str(given.facts.need("reference_image"))))
    arguments = {**_illumination(given).arguments, "reference": given.axes_of(reference, "yx")}
    arguments.pop("saturation_adu")
    return Prepared(arguments)


def _dark_noise(given: Given) -> Prepared:
    dark = given.frames(given.one(_dark_role(given)))
    return Prepared({"dark": dark, "conversion_e_per_adu": given.facts.find("conversion_e_per_adu")})


def _dark_role(given: Given) -> str:
    """Return where the dark frames are: a routine that wants nothing else takes them as its files."""
    return DARK if given.stacks.get(DARK) else MAIN


def _defects(given: Given) -> Prepared:
    bright = given.frames(given.one(BRIGHT)) if given.stacks.get(BRIGHT) else None
    return Prepared({"dark": given.frames(given.one(_dark_role(given))), "bright": bright})


def _uniformity(given: Given) -> Prepared:
    return Prepared({"dark": given.frames(given.one(DARK)), "bright": given.frames(given.one())})


def _photon_transfer(given: Given) -> Prepared:
    levels = [given.frames(stack) for stack in given.all()]
    full_scale = given.facts.find("full_scale_adu")
    return Prepared({"dark": given.frames(given.one(DARK)), "levels": levels, "full_scale_adu": full_scale})


def _linearity(given: Given) -> Prepared:
    if given.columns:
        return _columns(given)
    dark = float(given.frames(given.one(DARK)).mean())
    signals = [float(given.frames(stack).mean()) - dark for stack in given.all()]
    return Prepared({"light": _one_each(given, "exposures_ms"), "signal_adu": signals})


def _dark_current(given: Given) -> Prepared:
    series = [pixel_moments(given.frames(stack)) for stack in given.all(_dark_role(given))]
    exposures = _one_each(given, "exposures_ms", _dark_role(given))
    arguments = {
        "dark_by_exposure_ms": dict(zip(exposures, series, strict=True)),
        "conversion_e_per_adu": float(given.facts.need("conversion_e_per_adu")),
        "sensor_temperature_c": given.facts.find("sensor_temperature_c"),
    }
    return Prepared(arguments)


def _point_detector(given: Given) -> Prepared:
    """One file is a series at one setting; dark frames are of all settings, or a series of each."""
    stacks, dark = given.all(), given.stacks.get(DARK) or ()
    arguments = {
        "series": [given.frames(stack) for stack in stacks],
        "settings": _settings(given, len(stacks)),
        "dark": [given.frames(stack) for stack in dark],
        "offset_adu": given.facts.find("offset_adu"),
        "full_scale_adu": given.facts.find("full_scale_adu"),
    }
    return Prepared(arguments)


def _settings(given: Given, n: int) -> list[float | str]:
    """Return the settings of so many files: numbers, or names with commas between them."""
    stated = given.facts.need("settings")
    each = stated if isinstance(stated, list | tuple) else [stated]
    parts = [part for one in each for part in (one.split(",") if isinstance(one, str) else [one])]
    settings = [part.strip() if isinstance(part, str) else float(part) for part in parts]
    if len(settings) != n:
        raise StackError(f"settings holds {len(settings)} entries for {n} files: give one for each.")
    return settings


def _one_each(given: Given, name: str, role: str = MAIN) -> list[float]:
    """Return a fact that is stated once for each file."""
    return _numbers(given, name, len(given.all(role)), "files")


def _numbers(given: Given, name: str, n: int, words: str = "images") -> list[float]:
    stated = np.atleast_1d(np.asarray(given.facts.need(name), float)).tolist()
    if len(stated) != n:
        raise StackError(f"{name} holds {len(stated)} numbers for {n} {words}: give one for each.")
    return list(stated)


def _images(given: Given) -> list[Any]:
    """Return the images of one place after another: time runs slower than position."""
    stack = given.one()
    axes = "".join(axis for axis in "tp" if axis in stack.axes)
    if not axes:
        raise StackError(f"{stack.path} holds one image; a series along time or position is wanted.")
    frames = given.axes_of(stack, axes + "yx") if given.position is None else given.frames(stack)
    return list(frames.reshape(-1, *frames.shape[-2:]))


def _stage_yx_um(given: Given, n: int) -> Any:
    places = np.asarray(given.facts.need("stage_yx_um"), float)
    if places.shape != (n, 2):
        raise StackError(f"There are {len(places)} stage positions for {n} images: give one for each.")
    return places


def _pixel_size(given: Given) -> Prepared:
    images = _images(given)
    places = _stage_yx_um(given, len(images))
    nth = int(given.facts.find("every_nth_counts") or 1)  # those between are only on the way
    images, places = images[nth - 1 :: nth], places[nth - 1 :: nth]
    shifts, unplaced = pixel_size.shifts_of(images)
    _need_places(shifts, unplaced)
    pitch, magnification = given.facts.find("sensor_pitch_um"), given.facts.find("magnification")
    expected = pixel_size.theory(float(pitch), float(magnification)) if pitch and magnification else ()
    arguments = {"stage_yx_um": places - places[0], "shift_yx_px": shifts, "n_unplaced": unplaced}
    return Prepared(arguments, expected)


def _stage(given: Given) -> Prepared:
    """Returns are the images at home, where the stage came from is the place before."""
    images = _images(given)
    away = _stage_yx_um(given, len(images))
    away = away - away[-1]
    is_home = np.hypot(*away.T) < 1e-6
    home = [k for k in range(1, len(images)) if is_home[k] and not is_home[k - 1]]
    positions = image_positions([images[k] for k in home], float(given.pixel_um() or 0.0))
    _need_places(positions.yx_um, positions.n_rejected)
    trips = [away[k - 1] for k in home]
    return Prepared(
        {
            "position_yx_um": positions.yx_um,
            "direction": [_direction(*trip) for trip in trips],
            "distance_um": [float(np.hypot(*trip)) for trip in trips],
        }
    )


def _need_places(shifts: Any, reasons: Mapping[str, int]) -> None:
    """Raise StackError where next to no image shows where it is, which a count of positions would not explain."""
    n, n_placed = len(shifts), int(np.isfinite(shifts).all(axis=1).sum())
    if n_placed < LEAST_PLACED:
        raise StackError(
            f"Of {n} images {n_placed} could be placed against the first; the others have {counted(reasons)}. Wanted are "
            "beads or texture, in focus, of one field in all of them."
        )


def _direction(y_um: float, x_um: float) -> str:
    if abs(x_um) >= abs(y_um):
        return "left" if x_um < 0 else "right"
    return "back" if y_um < 0 else "front"


def _drift(given: Given) -> Prepared:
    images = _images(given)
    positions = image_positions(images, float(given.pixel_um() or 0.0))
    interval_s = float(given.facts.need("interval_s"))
    _need_places(positions.yx_um, positions.n_rejected)
    return Prepared({"time_s": interval_s * np.arange(len(images)), "position_um": positions.yx_um})


def _grid(given: Given) -> Prepared:
    return Prepared({"image": given.array("yx"), "pitch_um": float(given.facts.need("pitch_um"))})


def _line_pairs(given: Given) -> Prepared:
    """Pairs are the places of one stack, each in the middle of its image, or the whole images of several."""
    if "p" in given.all()[0].axes:
        pitch_um, pixel_um = float(given.facts.need("pitch_um")), float(given.pixel_um() or 0.0)
        regions = [line_pairs.pair_region(image, pixel_um, pitch_um) for image in _images(given)]
    else:
        regions = [given.axes_of(stack, "yx") for stack in given.all()]
    optics = given.optics()
    arguments = {
        "regions": regions,
        "spacing_um": _numbers(given, "spacing_um", len(regions)),
        "pixel_size_um": given.pixel_um(),
    }
    return Prepared(arguments, line_pairs.ROUTINE.theory(optics) if line_pairs.ROUTINE.theory else ())


def _thin_layer(given: Given) -> Prepared:
    stack, optics = given.array("zyx"), given.optics(given.channel_index(given.one()))
    z_um = float(given.facts.need("voxel_z_um")) * np.arange(len(stack))
    arguments = {"stack": stack, "z_um": z_um, "pixel_size_um": given.pixel_um(is_needed=False)}
    return Prepared(arguments, thin_layer.ROUTINE.theory(optics) if thin_layer.ROUTINE.theory else ())


def _axial_steps(given: Given) -> Prepared:
    """Stacks up and down a staircase: where each stair is sharp is what was commanded for its height."""
    if not given.stacks.get(MAIN):
        return Prepared(_columns(given).arguments, axial.theory())
    stacks = [given.axes_of(stack, "zyx") for stack in given.all()]
    ways = [1.0 if k % 2 == 0 else -1.0 for k in range(len(stacks))]
    step_um = float(given.facts.need("voxel_z_um"))
    heights = [
        way * step_um * (np.arange(len(s)) - (len(s) - 1) / 2) for s, way in zip(stacks, ways, strict=True)
    ]
    pitch_um, stair_um = (float(given.facts.need(name)) for name in ("pitch_um", "stair_um"))
    found = stairs_in(stacks, heights, float(given.pixel_um() or 0.0), pitch_um, stair_um)
    arguments = {
        "commanded_um": found.z_um.ravel(),
        "measured_um": np.tile(found.height_um, len(stacks)),
        "direction": np.repeat(ways, found.height_um.size),
    }
    return Prepared(arguments, axial.theory())


def _autofocus(given: Given) -> Prepared:
    """Trials with a stack about where each recovered: the truth is where the stack is sharpest."""
    if not given.stacks.get(MAIN):
        return _columns(given)
    recovered = np.asarray(given.columns["recovered_um"], float)
    true_um, stacks = np.full(recovered.shape, np.nan), iter(given.all())
    for k in np.flatnonzero(np.isfinite(recovered)):
        true_um[k] = _sharpest_um(given, next(stacks), recovered[k])
    arguments = {"recovered_um": recovered, "defocus_um": given.columns["defocus_um"], "true_um": true_um}
    return Prepared(arguments, _depth_of_field(given))


def _sharpest_um(given: Given, stack: Stack, middle_um: float) -> float:
    planes = given.axes_of(stack, "zyx")
    step_um = float(stack.voxel_um.get("z") or given.facts.need("voxel_z_um"))
    try:
        return best_focus(planes, middle_um + step_um * (np.arange(len(planes)) - (len(planes) - 1) / 2)).z_um
    except InputError:  # counted as a trial that gave up: where it ended is not known
        return float("nan")


def _depth_of_field(given: Given) -> tuple[Expected, ...]:
    """Return what the repeatability is held against, when wavelength and aperture are known."""
    known = all(given.facts.find(name) for name in ("emission_nm", "numerical_aperture", "immersion_index"))
    pixel_um = given.pixel_um(is_needed=False)
    return autofocus.theory(given.optics(), pixel_um) if known and pixel_um else ()


def _power(given: Given) -> Prepared:
    """Readings of a run know their lines by number, those of a table by name."""
    prepared = _columns(given)
    if (names := given.facts.find("lines")) and "line" in prepared.arguments:
        names = str(names).split(", ")
        prepared.arguments["line"] = [names[int(number)] for number in prepared.arguments["line"]]
    return prepared


def _sample_power(given: Given) -> Prepared:
    prepared = _power(given)
    reference_mw = given.facts.find("reference_mw")
    return Prepared({**prepared.arguments, **({"reference_mw": reference_mw} if reference_mw else {})})


def _columns(given: Given) -> Prepared:
    if not given.columns:
        raise StackError("This routine measures numbers: give a table (.csv) whose columns are its inputs.")
    return Prepared(dict(given.columns))


ADAPTERS: dict[str, Callable[[Given], Prepared]] = {
    "psf": _psf,
    "registration": _registration,
    "illumination": _illumination,
    "illumination_change": _illumination_change,
    "dark_noise": _dark_noise,
    "photon_transfer": _photon_transfer,
    "linearity": _linearity,
    "dark_current": _dark_current,
    "point_detector": _point_detector,
    "uniformity": _uniformity,
    "defects": _defects,
    "stage": _stage,
    "drift": _drift,
    "pixel_size": _pixel_size,
    "grid": _grid,
    "line_pairs": _line_pairs,
    "thin_layer": _thin_layer,
    "power_linearity": _power,
    "power_stability": _power,
    "sample_power": _sample_power,
    "autofocus": _autofocus,
    "axial_steps": _axial_steps,
}
"""By name of the routine."""
