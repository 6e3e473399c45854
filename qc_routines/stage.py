"""Does a stage come back to where it was: repeatability, and backlash by direction.

x is across the image to the right, y down. A *return* is one trip out and back; its *position* is where the bead is
seen afterwards, um. QUAREP-LiMi WG6 (github.com/QUAREP-LiMi/WG6-Stage-and-Focus): 300 and 3000 um out in four
directions, 20 times each. Values as in the QUAREP-LiMi-Tool-Kit (pageStageResults.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.arrivals import MOVED_BY, Arrivals, arrivals_of
from qc_routines.errors import InputError
from qc_routines.few import sd_uncertainty, widened
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.straight_line import fit_line, widening

DIRECTIONS = ("left", "right", "back", "front")
SPANS = ("small", "large")
LEAST_RETURNS = 4
CHI2_95_2D = 5.991
"""Squared Mahalanobis radius that holds 95 % of a normal distribution in the plane: -2 ln 0.05."""


def measure_stage(
    position_yx_um: ArrayLike,
    direction: Sequence[str],
    distance_um: ArrayLike,
    time_s: ArrayLike | None = None,
) -> Measurement:
    """Return repeatability, mean offsets and backlash.

    Parameters
    ----------
    position_yx_um : array_like, (n, 2)
        Position after each return, from `image_positions`; NaN where it could not be measured.
    direction : sequence of str
        Where the stage came back from: left, right, back or front.
    distance_um : array_like, (n,)
        How far it was away. The shortest distance is the *small* one, all others are *large*.
    time_s : array_like, (n,), optional
        When each position was seen; a steady drift is then taken off and reported.

    Returns
    -------
    Measurement
        No return is left out for being far off: that is what is measured.

    Notes
    -----
    Positions are relative to an image that was as far off as any other: means have the SD of one arrival in their
    uncertainty, which no number of returns averages away; differences and SDs have not. Returns that show the same
    arrival of an axis count for less than others, see `arrivals`.

    Raises
    ------
    InputError
        Unequal lengths, unknown directions, or fewer than four positions.
    """
    yx, came_from, away = _checked(position_yx_um, direction, distance_um)
    is_known = np.isfinite(yx).all(axis=1) & np.isfinite(away)
    if is_known.sum() < LEAST_RETURNS:
        raise InputError(f"expected at least {LEAST_RETURNS} measured returns; got {int(is_known.sum())}")
    yx = np.where(is_known[:, None], yx, np.nan)
    arrivals = {axis: arrivals_of(yx[:, i], came_from, axis) for i, axis in enumerate("yx")}
    yx, came_from, away = yx[is_known], came_from[is_known], away[is_known]
    drift: list[Figure] = []
    if time_s is not None:
        yx, drift = _without_drift(yx, np.asarray(time_s, float)[is_known] / 60)
    is_small = away == away.min()
    n_unknown = int((~is_known).sum())
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(
            *_overall(yx, arrivals),
            *_backlash(yx, came_from, arrivals),
            *_by_direction(yx, came_from, is_small, arrivals),
            *drift,
        ),
        n_used=len(yx),
        n_rejected={"no position": n_unknown} if n_unknown else {},
        parameters={
            "small_um": float(away.min()),
            "large_um": float(away.max()),
            "is_drift_removed": time_s is not None,
        },
        table={"y_um": yx[:, 0], "x_um": yx[:, 1], "direction": came_from, "distance_um": away},
    )


def _checked(
    position_yx_um: ArrayLike, direction: Sequence[str], distance_um: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.float64]]:
    yx, away = np.asarray(position_yx_um, float), np.asarray(distance_um, float)
    came_from = np.asarray(direction, dtype=str)
    if yx.ndim != 2 or yx.shape[1] != 2 or not len(yx) == len(came_from) == away.size:
        raise InputError(
            f"expected positions (n, 2) with n directions and n distances; got {yx.shape}, {len(came_from)} and "
            f"{away.size}"
        )
    if unknown := sorted(set(came_from.tolist()) - set(DIRECTIONS)):
        raise InputError(f"expected directions {', '.join(DIRECTIONS)}; got {', '.join(unknown)}")
    return yx, came_from, away


def _without_drift(
    yx: NDArray[np.float64], time_min: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[Figure]]:
    lines = [fit_line(time_min, yx[:, i]) for i in (0, 1)]
    level = yx.mean(axis=0)
    figures = [
        Figure(
            f"drift_{axis}",
            1000 * line.slope,
            "nm/min",
            1000 * line.slope_uncertainty * widening(line.residuals),
            len(yx),
        )
        for axis, line in zip("yx", lines, strict=True)
    ]
    return np.stack([line.residuals for line in lines], axis=1) + level, figures


def _sd_figure(name: str, sd: float | None, n: int, n_free: float) -> Figure:
    return Figure(name, sd, "um", None if sd is None else sd_uncertainty(sd, n_free), n)


def _overall(yx: NDArray[np.float64], arrivals: dict[str, Arrivals]) -> list[Figure]:
    """Return SD along x and y, rms distance from the mean, range, and the ellipse that holds 95 %."""
    n = len(yx)
    covariance = np.cov(yx.T)
    sd = np.sqrt(np.diag(covariance))
    away = np.hypot(*(yx - yx.mean(axis=0)).T)
    minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0) * CHI2_95_2D)
    rms = float(np.sqrt(np.sum(away**2) / (n - 1)))
    by_axis = [
        _sd_figure(f"sd_{axis}", float(sd[i]), n, arrivals[axis].n_independent() - 1)
        for i, axis in enumerate("yx")
    ]
    of_squares = [f.value * f.uncertainty for f in by_axis if f.value and f.uncertainty]
    of_rms = float(np.hypot(*of_squares)) / rms if len(of_squares) == 2 else None
    return [
        *by_axis,
        Figure("rms_distance", rms, "um", of_rms, n),
        Figure("largest_distance", float(away.max()), "um", None, n),
        Figure("ellipse_major", float(major), "um", None, n),
        Figure("ellipse_minor", float(minor), "um", None, n),
        Figure("ellipse_area", float(pi * minor * major), "um^2", None, n),
    ]


def _backlash(
    yx: NDArray[np.float64], came_from: NDArray[np.str_], arrivals: dict[str, Arrivals]
) -> list[Figure]:
    """Return mean position after coming from one side less that from the other, and the SD within a direction."""
    figures = []
    for axis, column in (("x", 1), ("y", 0)):
        one, other = MOVED_BY[axis]
        first, second = yx[came_from == one, column], yx[came_from == other, column]
        n, value, sigma = first.size + second.size, None, None
        if first.size > 1 and second.size > 1:
            value = float(first.mean() - second.mean())
            sigma = float(np.sqrt(first.var(ddof=1) / first.size + second.var(ddof=1) / second.size))
            sigma = widened(sigma, n - 2)
        figures.append(Figure(f"backlash_{axis}", value, "um", sigma, n))
        sd, n_means = _unidirectional(yx[:, column], came_from)
        n_free = arrivals[axis].n_independent() * (1 - n_means / len(yx))
        figures.append(_sd_figure(f"sd_{axis}_one_direction", sd, len(yx), n_free))
    return figures


def _unidirectional(values: NDArray[np.float64], came_from: NDArray[np.str_]) -> tuple[float | None, int]:
    """Return the pooled SD about the mean of each direction, and how many means those are."""
    groups = [values[came_from == d] for d in DIRECTIONS if np.count_nonzero(came_from == d) > 1]
    n_free = sum(group.size - 1 for group in groups)
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
    return (squares / n_free) ** 0.5 if n_free else None, len(groups)


def _by_direction(
    yx: NDArray[np.float64],
    came_from: NDArray[np.str_],
    is_small: NDArray[np.bool_],
    arrivals: dict[str, Arrivals],
) -> list[Figure]:
    """Return the 20 SDs of the QUAREP-LiMi-Tool-Kit and the 20 means that go with them."""
    figures = []
    for column, axis in ((1, "x"), (0, "y")):
        one_arrival, _ = _unidirectional(yx[:, column], came_from)
        for span, is_span in zip(SPANS, (is_small, ~is_small), strict=True):
            for direction in ("all", *DIRECTIONS):
                chosen = is_span & ((came_from == direction) | (direction == "all"))
                values, n_independent = yx[chosen, column], arrivals[axis].n_independent(chosen)
                sd = float(values.std(ddof=1)) if values.size > 1 else None
                mean = float(values.mean()) if values.size else None
                sigma = one_arrival and one_arrival * (1 / n_independent + 1) ** 0.5 if values.size else None
                tail = f"{axis}_{span}_{direction}"
                figures.append(_sd_figure(f"sd_{tail}", sd, values.size, n_independent - 1))
                figures.append(Figure(f"mean_{tail}", mean, "um", sigma, values.size))
    return figures


def protocol(
    channel: str = "brightfield", exposure_ms: float = 20.0, n_repeats: int = 20, wait_s: float = 30.0
) -> Protocol:
    """Return how to acquire returns: the trips are stage positions relative to home, an image after each return."""
    trips_xy_um = [(x * d, y * d) for d in (300.0, 3000.0) for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    out_and_back = [p for x, y in trips_xy_um for p in ({"x": x, "y": y}, {"x": 0.0, "y": 0.0})]
    return Protocol(
        routine="stage",
        sample="slide with sparse beads of 1 to 4 um, air objective",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms}],
            "stage_positions": out_and_back,
            "time_plan": {"interval": 0.0, "loops": n_repeats},
        },
        exposure="bead at half of full scale",
        duration_s=n_repeats * len(trips_xy_um) * (wait_s + 2.0),
        steps=(
            "Let the microscope warm up for an hour",
            "Centre one bead that stands alone; the stage must be free to move 3 mm to all sides",
            "Take off anything the objective could hit",
        ),
        every_days=182,
        is_automatic=True,
        parameters={"n_repeats": n_repeats, "wait_s": wait_s},
        source="QUAREP-LiMi WG6-Stage-and-Focus",
    )


def _names() -> dict[str, FigureNames]:
    names = {
        "sd_y": FigureNames("um", "Standard deviation of y over all returns"),
        "sd_x": FigureNames("um", "Standard deviation of x over all returns"),
        "rms_distance": FigureNames("um", "Root mean square distance from the mean position"),
        "largest_distance": FigureNames("um", "Largest distance from the mean position"),
        "ellipse_major": FigureNames("um", "Half long axis of the ellipse that holds 95 %"),
        "ellipse_minor": FigureNames("um", "Half short axis of the ellipse that holds 95 %"),
        "ellipse_area": FigureNames("um^2", "Area of the ellipse that holds 95 %"),
    }
    for axis in "xy":
        names[f"backlash_{axis}"] = FigureNames("um", f"Mean {axis} from one side less that from the other")
        names[f"sd_{axis}_one_direction"] = FigureNames("um", f"SD of {axis} about each direction's mean")
        names[f"drift_{axis}"] = FigureNames("nm/min", f"Steady drift of {axis} that was taken off")
        for span in SPANS:
            for direction in ("all", *DIRECTIONS):
                where = f"of {axis} after {span} moves, coming from {direction}"
                names[f"sd_{axis}_{span}_{direction}"] = FigureNames("um", f"SD {where}")
                names[f"mean_{axis}_{span}_{direction}"] = FigureNames("um", f"Mean {where}")
    return names


ROUTINE = Routine(
    name="stage",
    title="Stage repeatability and backlash",
    holds_for=("stage",),
    measure=measure_stage,
    inputs={
        "position_yx_um": "position after each return (n, 2), um",
        "direction": "where it came from",
        "distance_um": "how far it was away, um",
        "time_s": "when, s; optional",
    },
    figures=_names(),
    protocol=protocol,
    causes=(
        Cause(
            "backlash of the drive",
            "Compare SD in one direction with that of all; switch backlash correction or closed loop on",
            ("backlash_x", "backlash_y", "sd_x", "sd_y", "rms_distance"),
            OURS,
        ),
        Cause(
            "slide or insert is not held firmly",
            "Clamp the slide, tighten insert and objective, repeat",
            ("sd_x", "sd_y", "sd_x_one_direction", "sd_y_one_direction", "rms_distance"),
            OURS,
        ),
        Cause(
            "images taken before the stage stood still",
            "Lengthen the wait; lower speed and acceleration",
            ("sd_x", "sd_y", "sd_x_large_all", "sd_y_large_all"),
            OURS,
        ),
        Cause(
            "drift of temperature during the test",
            "Let the room and microscope settle; give times so that drift is taken off",
            ("drift_x", "drift_y", "sd_x", "sd_y"),
            OURS,
        ),
        Cause(
            "worn or dirty spindle or encoder",
            "Compare other regions of the travel; have it serviced",
            ("sd_x_one_direction", "sd_y_one_direction", "largest_distance"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
