"""Does focus come back: repeatability of an autofocus or of the z drive itself, hysteresis, and time to settle.

A *trial* defocuses by a known distance and recovers; its *error* is recovered focus less true focus, um, positive away
from the objective in the sense of the z drive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.conditions import Optics
from qc_routines.errors import InputError
from qc_routines.few import sd_uncertainty, widened
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import SOURCES, Expected, depth_of_field_um

LEAST_TRIALS = 4
LOST_SIGMAS = 8.0
"""Trials farther from the median, in robust sigma, and beyond `lost_um`, have lost focus: counted, not averaged."""


def measure_autofocus(
    recovered_um: ArrayLike,
    defocus_um: ArrayLike | None = None,
    true_um: ArrayLike | float = 0.0,
    lost_um: float = 5.0,
) -> Measurement:
    """Return repeatability of focus.

    Parameters
    ----------
    recovered_um : array_like, (n,)
        Focus after each trial, from `best_focus` or the z drive; NaN where the autofocus gave up.
    defocus_um : array_like, (n,), optional
        How far it was defocused, with sign; for hysteresis between the two sides.
    true_um : array_like (n,) or float
        Where focus truly was.
    lost_um : float
        A trial farther than this from the median and far outside the scatter of the others has lost focus.

    Raises
    ------
    InputError
        Unequal lengths or fewer than four trials that recovered.
    """
    error = np.asarray(recovered_um, float) - np.asarray(true_um, float)
    side = np.zeros_like(error) if defocus_um is None else np.asarray(defocus_um, float)
    if error.ndim != 1 or side.shape != error.shape:
        raise InputError(f"expected one defocus for each trial; got {error.shape} and {side.shape}")
    is_found = np.isfinite(error)
    is_lost = is_found & _is_lost(error, is_found, lost_um)
    is_used = is_found & ~is_lost
    if is_used.sum() < LEAST_TRIALS:
        raise InputError(
            f"expected at least {LEAST_TRIALS} trials that recovered; got {int(is_used.sum())} of {error.size}"
        )
    counts = {"gave up": int((~is_found).sum()), "lost focus": int(is_lost.sum())}
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=(
            *_scatter(error[is_used]),
            _success(int(is_used.sum()), error.size),
            _hysteresis(error, side, is_used),
        ),
        n_used=int(is_used.sum()),
        n_rejected={reason: n for reason, n in counts.items() if n},
        parameters={"lost_um": lost_um},
        table={"error_um": error, "defocus_um": side, "is_used": is_used},
    )


def _is_lost(error: NDArray[np.float64], is_found: NDArray[np.bool_], lost_um: float) -> NDArray[np.bool_]:
    if not is_found.any():
        return np.zeros(error.shape, bool)
    away = np.abs(error - np.median(error[is_found]))
    return away > max(lost_um, LOST_SIGMAS * 1.4826 * float(np.median(away[is_found])))


def _scatter(error: NDArray[np.float64]) -> list[Figure]:
    n, sd = error.size, float(error.std(ddof=1))
    return [
        Figure("repeatability", 1000 * sd, "nm", sd_uncertainty(1000 * sd, n - 1), n),
        Figure("offset", 1000 * float(error.mean()), "nm", widened(1000 * sd / n**0.5, n - 1), n),
        Figure("range", 1000 * float(np.ptp(error)), "nm", None, n),
    ]


def _success(n_good: int, n: int) -> Figure:
    """Return the share of trials that recovered, with the uncertainty of Agresti & Coull 1998 (two more of each)."""
    p = (n_good + 2) / (n + 4)
    return Figure("success", 100 * n_good / n, "%", 100 * (p * (1 - p) / (n + 4)) ** 0.5, n)


def _hysteresis(error: NDArray[np.float64], side: NDArray[np.float64], is_used: NDArray[np.bool_]) -> Figure:
    """Return mean error after defocus upwards less that after defocus downwards."""
    up, down = error[is_used & (side > 0)], error[is_used & (side < 0)]
    if up.size < 2 or down.size < 2:
        return Figure("hysteresis", None, "nm", None, 0)
    sigma = (up.var(ddof=1) / up.size + down.var(ddof=1) / down.size) ** 0.5
    n, nm = up.size + down.size, 1000 * float(up.mean() - down.mean())
    return Figure("hysteresis", nm, "nm", widened(1000 * float(sigma), n - 2), n)


def settling_time_s(time_s: ArrayLike, position_um: ArrayLike, within_um: float) -> float | None:
    """Return when a position has come within a tolerance of its end for good, s; None when only the last has.

    Parameters
    ----------
    time_s, position_um : array_like, (n,)
        After the command; NaN positions are passed over.
    within_um : float
        Tolerance about the median of the last quarter.

    Examples
    --------
    >>> settling_time_s([0, 1, 2, 3, 4, 5, 6, 7], [9, 3, 1, 0.1, 0, 0, 0, 0], 0.2)
    3.0
    """
    time, position = np.asarray(time_s, float), np.asarray(position_um, float)
    known = np.isfinite(time) & np.isfinite(position)
    if known.sum() < LEAST_TRIALS:
        raise InputError(f"expected at least {LEAST_TRIALS} positions; got {int(known.sum())}")
    time, position = time[known], position[known]
    end = float(np.median(position[-max(1, position.size // 4) :]))
    outside = np.flatnonzero(np.abs(position - end) > within_um)
    first = int(outside[-1]) + 1 if outside.size else 0
    return float(time[first]) if first < time.size - 1 else None


def theory(optics: Optics, pixel_um: float) -> tuple[Expected, ...]:
    """Return what repeatability is measured against: the depth of field."""
    return (
        Expected(
            "repeatability",
            1000 * depth_of_field_um(optics, pixel_um),
            "nm",
            "depth_of_field",
            SOURCES["inoue"],
        ),
    )


def protocol(
    channel: str = "brightfield", exposure_ms: float = 20.0, n_trials: int = 20, defocus_um: float = 20.0
) -> Protocol:
    """Return how to acquire trials: defocus to either side in turn, recover, then a short stack that shows the truth."""
    return Protocol(
        routine="autofocus",
        sample="beads fixed to a cover glass, or any slide with structure in one plane",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms}],
            "time_plan": {"interval": 0.0, "loops": n_trials},
            "z_plan": {"range": 4.0, "step": 0.2},
        },
        exposure="half of full scale",
        duration_s=n_trials * (5.0 + 21 * (exposure_ms / 1000 + 0.1)),
        steps=(
            "Focus, engage the autofocus and set its offset",
            f"Between stacks the agent moves z by +{defocus_um:g} and -{defocus_um:g} um in turn and lets it recover",
        ),
        every_days=182,
        is_automatic=True,
        parameters={"n_trials": n_trials, "defocus_um": defocus_um},
        source="after QUAREP-LiMi WG6-Stage-and-Focus; distances and number of trials: ours",
    )


ROUTINE = Routine(
    name="autofocus",
    title="Autofocus and z repeatability",
    measure=measure_autofocus,
    inputs={
        "recovered_um": "focus after each trial, um",
        "defocus_um": "defocus of each trial, um; optional",
    },
    figures={
        "repeatability": FigureNames("nm", "Standard deviation of recovered focus"),
        "offset": FigureNames("nm", "Mean recovered less true focus"),
        "range": FigureNames("nm", "Largest less smallest"),
        "success": FigureNames("%", "Trials that recovered"),
        "hysteresis": FigureNames("nm", "Mean from above less mean from below"),
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "weak or second reflection for a hardware autofocus",
            "Clean cover glass and objective; check immersion and the offset; avoid plastic bottoms",
            ("success", "repeatability", "range"),
            OURS,
        ),
        Cause(
            "backlash of the z drive",
            "Approach always from the same side; compare with closed loop or piezo",
            ("hysteresis", "repeatability"),
            OURS,
        ),
        Cause(
            "too little contrast or light for an image-based autofocus",
            "Raise exposure or contrast; use smaller steps",
            ("success", "repeatability"),
            OURS,
        ),
        Cause("drift of temperature", "Repeat after warming up", ("offset", "repeatability"), OURS),
    ),
)
"""For the catalogue."""
