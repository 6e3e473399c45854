"""How an image drifts with time, and when it has settled.

Displacement is distance from the first position, um. Times are from the start of the series. Lag displacement is true
mean squared displacement over all pairs that are one lag apart, unlike the squared displacement from time zero that
MetroloJ_QC calls MSD (driftProfiler.java).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.errors import InputError
from qc_routines.protocols import Protocol, sequence_s, time_series
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.straight_line import fit_line, widening

LEAST_POSITIONS = 5
SETTLED_UM = 0.2
"""MetroloJ_QC's default where no resolution is known."""


def measure_drift(
    time_s: ArrayLike,
    position_um: ArrayLike,
    axes: str = "yx",
    settled_um: float = SETTLED_UM,
    temperature_c: ArrayLike | None = None,
) -> Measurement:
    """Return displacement, velocity before and after settling, and when it settled.

    Of a series that never settles, "after" is its second half: drift that goes on and on must not go unjudged.

    Parameters
    ----------
    time_s : array_like, (n,)
        Times, rising.
    position_um : array_like, (n, number of axes)
        Positions, from `image_positions` or a bead fit; NaN where there is none: left out and counted.
    axes : str
        Names of the columns: yx, zyx or z.
    settled_um : float
        It has settled when it stays within this of where it ends up; the resolution is a good choice.
    temperature_c : array_like, (n,), optional
        Room or stage temperature at the same times.

    Raises
    ------
    InputError
        Fewer than five positions, times that do not rise, or arrays that do not fit.
    """
    time_min, positions, is_known = _checked(time_s, position_um, axes)
    known_min, known_um = time_min[is_known], positions[is_known]
    away_um = np.linalg.norm(known_um - known_um[0], axis=1)
    settled = _settled_index(known_um, settled_um)
    velocity = [
        figure
        for i, axis in enumerate(axes)
        for figure in _velocities(known_min, known_um[:, i], settled, axis)
    ]
    lags_min, lag_um2 = _lag_displacement(known_min, known_um)
    n, n_missing = len(known_um), int((~is_known).sum())
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(
            Figure("displacement_largest", float(away_um.max()), "um", None, n),
            Figure("displacement_end", float(away_um[-1]), "um", None, n),
            Figure("settling_time", None if settled is None else float(known_min[settled] - known_min[0]), "min", None, n),
            *velocity,
            *_speeds(velocity, n),
            *_temperature(known_um, temperature_c, is_known, axes),
        ),
        n_used=n,
        n_rejected={"no position": n_missing} if n_missing else {},
        parameters={"axes": axes, "settled_um": settled_um},
        remarks=() if settled is not None else ("It did not settle during the series.",),
        table={"time_min": known_min, "displacement_um": away_um}
        | {f"{axis}_um": known_um[:, i] for i, axis in enumerate(axes)},
        maps={"lag_min": lags_min, "lag_displacement_um2": lag_um2},
    )  # fmt: skip


def _checked(
    time_s: ArrayLike, position_um: ArrayLike, axes: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    time_min, positions = np.asarray(time_s, float) / 60, np.asarray(position_um, float)
    positions = positions[:, None] if positions.ndim == 1 else positions
    if time_min.ndim != 1 or positions.shape != (time_min.size, len(axes)):
        raise InputError(
            f"expected positions ({time_min.size}, {len(axes)}) for {axes}; got {positions.shape}"
        )
    if not np.all(np.diff(time_min) > 0):
        raise InputError("expected times that rise; sort the series and look for a clock that jumped")
    is_known = np.isfinite(positions).all(axis=1) & np.isfinite(time_min)
    if is_known.sum() < LEAST_POSITIONS:
        raise InputError(f"expected at least {LEAST_POSITIONS} positions; got {int(is_known.sum())}")
    return time_min, positions, is_known


def _settled_index(positions_um: NDArray[np.float64], settled_um: float) -> int | None:
    """Return the first position after which all stay within `settled_um` of their mean; None if fewer than five do.

    One straggler does not unsettle it: each position is judged by the median of itself and its neighbours.
    """
    n = len(positions_um)
    padded = np.concatenate([positions_um[:1], positions_um, positions_um[-1:]])
    calm = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    for start in range(n - LEAST_POSITIONS + 1):
        rest = calm[start:]
        if np.linalg.norm(rest - rest.mean(axis=0), axis=1).max() <= settled_um:
            return start
    return None


def _velocities(
    time_min: NDArray[np.float64], position_um: NDArray[np.float64], settled: int | None, axis: str
) -> list[Figure]:
    before = slice(0, settled) if settled is not None else slice(0, None)
    after = slice(settled, None) if settled is not None else slice(time_min.size // 2, None)
    spans = {"": slice(0, None), "_before": before, "_after": after}
    return [
        _velocity(f"velocity_{axis}{when}", time_min[span], position_um[span]) for when, span in spans.items()
    ]


def _velocity(name: str, time_min: NDArray[np.float64], position_um: NDArray[np.float64]) -> Figure:
    """Return a fitted velocity; neighbours that are alike count for less, or the uncertainty would be too small."""
    if time_min.size < 3:
        return Figure(name, None, "nm/min", None, time_min.size)
    line = fit_line(time_min, position_um)
    wider = widening(line.residuals)
    return Figure(name, 1000 * line.slope, "nm/min", 1000 * line.slope_uncertainty * wider, time_min.size)


def _speeds(velocities: list[Figure], n: int) -> list[Figure]:
    """Return the length of the velocity vector, overall, before and after settling."""
    figures = []
    for when in ("", "_before", "_after"):
        parts = [f for f in velocities if f.name.startswith("velocity_") and f.name[10:] == when]
        parts = [f for f in parts if f.value is not None and f.uncertainty is not None]
        speed = float(np.sqrt(sum(f.value**2 for f in parts))) if parts else None
        sigma = speed and float(np.sqrt(sum((f.value * f.uncertainty) ** 2 for f in parts))) / speed
        figures.append(Figure(f"speed{when}", speed, "nm/min", sigma, n))
    return figures


def _lag_displacement(
    time_min: NDArray[np.float64], positions_um: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lags and mean squared displacement over all pairs so many frames apart, up to a quarter of the series."""
    n_lags = max(1, len(positions_um) // 4)
    lags = np.array([np.mean(time_min[k:] - time_min[:-k]) for k in range(1, n_lags + 1)])
    squares = [
        np.mean(np.sum((positions_um[k:] - positions_um[:-k]) ** 2, axis=1)) for k in range(1, n_lags + 1)
    ]
    return lags, np.array(squares)


def _temperature(
    positions_um: NDArray[np.float64],
    temperature_c: ArrayLike | None,
    is_known: NDArray[np.bool_],
    axes: str,
) -> list[Figure]:
    """Return how each axis goes with temperature."""
    if temperature_c is None:
        return []
    temperature = np.asarray(temperature_c, float)[is_known]
    is_measured = np.isfinite(temperature)
    figures = []
    for i, axis in enumerate(axes):
        slope = sigma = r = None
        if np.unique(temperature[is_measured]).size > 2:
            line = fit_line(temperature[is_measured], positions_um[is_measured, i])
            slope, sigma = 1000 * line.slope, 1000 * line.slope_uncertainty * widening(line.residuals)
            r = float(np.corrcoef(temperature[is_measured], positions_um[is_measured, i])[0, 1])
        figures.append(Figure(f"temperature_slope_{axis}", slope, "nm/K", sigma, int(is_measured.sum())))
        figures.append(Figure(f"temperature_correlation_{axis}", r, "1", None, int(is_measured.sum())))
    return figures


def protocol(
    channel: str = "FITC", exposure_ms: float = 50.0, duration_h: float = 2.0, interval_s: float = 60.0
) -> Protocol:
    """Return how to acquire a drift series."""
    n_frames = int(duration_h * 3600 / interval_s) + 1
    sequence = time_series(channel, exposure_ms, n_frames, interval_s)
    return Protocol(
        routine="drift",
        sample="beads of about 1 um fixed to a cover glass; z needs a short stack at each time",
        sequence=sequence,
        exposure="bead at half of full scale; little light, beads bleach",
        duration_s=sequence_s(sequence),
        steps=(
            "Put the sample on and start at once to see it settle, or after an hour to see the rest",
            "Switch focus hardware off for free drift, on to test it",
            "Note the room temperature or log it",
        ),
        every_days=182,
        is_automatic=True,
        parameters={"duration_h": duration_h, "interval_s": interval_s},
        source="QUAREP-LiMi WG6-Stage-and-Focus; Faklaris et al. 2022, doi:10.1083/jcb.202107093",
    )


def _names() -> dict[str, FigureNames]:
    names = {
        "displacement_largest": FigureNames("um", "Largest distance from the first position"),
        "displacement_end": FigureNames("um", "Distance of the last from the first position"),
        "settling_time": FigureNames("min", "From when on it stays where it is", None, "stabilization time"),
    }
    for when, words in (("", "over all"), ("_before", "before settling"), ("_after", "after settling")):
        names[f"speed{when}"] = FigureNames("nm/min", f"Length of the fitted velocity {words}")
        for axis in "zyx":
            names[f"velocity_{axis}{when}"] = FigureNames("nm/min", f"Fitted velocity along {axis} {words}")
    for axis in "zyx":
        names[f"temperature_slope_{axis}"] = FigureNames("nm/K", f"Change of {axis} with temperature")
        names[f"temperature_correlation_{axis}"] = FigureNames("1", f"Correlation of {axis} and temperature")
    return names


ROUTINE = Routine(
    name="drift",
    title="Drift and settling",
    measure=measure_drift,
    inputs={
        "time_s": "times, s",
        "position_um": "positions (n, axes), um",
        "temperature_c": "temperatures, deg C; optional",
    },
    figures=_names(),
    protocol=protocol,
    causes=(
        Cause(
            "temperature: air conditioning, incubator, lamp house, a sample put on cold",
            "Log the temperature beside the drift; shield from draughts; wait longer",
            ("speed", "speed_before", "speed_after", "settling_time", "displacement_largest", "velocity_z"),
            OURS,
        ),
        Cause(
            "slide, insert or objective not held firmly",
            "Clamp the slide, tighten insert, objective and nosepiece",
            ("speed_after", "displacement_largest", "settling_time"),
            OURS,
        ),
        Cause(
            "immersion oil that flows",
            "Wait ten minutes after moving; use less oil; compare with an air objective",
            ("speed_before", "settling_time", "velocity_z"),
            OURS,
        ),
        Cause(
            "z drive that sinks under its load",
            "Compare z with and without the incubator top; adjust the focus tension",
            ("velocity_z", "velocity_z_after"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
