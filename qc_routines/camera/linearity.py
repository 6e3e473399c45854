"""Does twice the light give twice the count?

EMVA 1288 release 4.0 (https://www.emva.org), section 7: a line is fitted to signal against light with weights 1/y², so
that relative deviations count, between 5 and 95 % of saturation; the linearity error is the mean |deviation|.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.errors import InputError
from qc_routines.protocols import Protocol, exposure_ladder, sequence_s
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.straight_line import StraightLine, fit_line

FROM, UP_TO = 0.05, 0.95
"""Part of the saturation signal that is judged: EMVA 1288 release 4.0, section 7.2."""
LEAST_LEVELS = 4


def measure_linearity(
    light: ArrayLike, signal_adu: ArrayLike, saturation_adu: float | None = None, light_unit: str = "ms"
) -> Measurement:
    """Return how far signal against light is from a straight line.

    Parameters
    ----------
    light : array_like, (n,)
        Exposure times, or light measured by a meter, which also takes out what the lamp does.
    signal_adu : array_like, (n,)
        Mean count less the dark mean of the same exposure, ADU; see `photon_transfer_point`.
    saturation_adu : float, optional
        Signal at saturation, from the full well; by default the largest signal, which then must be saturated.
    light_unit : str
        For the slope.

    Raises
    ------
    InputError
        Fewer than four finite levels between 5 and 95 % of saturation.
    """
    light, signal = np.asarray(light, float), np.asarray(signal_adu, float)
    if light.shape != signal.shape or light.ndim != 1 or light.size == 0:
        raise InputError(f"expected as many levels of light as signals; got {light.shape} and {signal.shape}")
    is_known = np.isfinite(light) & np.isfinite(signal) & (light > 0)
    top_adu = saturation_adu if saturation_adu is not None else _largest(signal, is_known)
    is_used = is_known & (signal >= FROM * top_adu) & (signal <= UP_TO * top_adu)
    if is_used.sum() < LEAST_LEVELS:
        raise InputError(
            f"expected at least {LEAST_LEVELS} levels between {FROM:.0%} and {UP_TO:.0%} of {top_adu:g} ADU; got "
            f"{int(is_used.sum())} of {', '.join(f'{s:.4g}' for s in signal)} ADU above dark. Spread the exposures over the range, "
            "and see that the light is on"
        )
    line = fit_line(light[is_used], signal[is_used], weights=signal[is_used] ** -2)
    deviation = 100 * line.residuals / (line.intercept + line.slope * light[is_used])
    counts = {"not a number": int((~is_known).sum()), "outside 5 to 95 %": int((is_known & ~is_used).sum())}
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=_figures(line, deviation, light_unit),
        n_used=int(is_used.sum()),
        n_rejected={reason: n for reason, n in counts.items() if n},
        parameters={"saturation_adu": float(top_adu), "from": FROM, "up_to": UP_TO, "light_unit": light_unit},
        table={
            "light": light[is_used],
            "signal_adu": signal[is_used],
            "deviation_percent": deviation,
        },
    )


def _figures(line: StraightLine, deviation: NDArray[np.float64], unit: str) -> tuple[Figure, ...]:
    n = deviation.size
    return (
        Figure("linearity_error", float(np.mean(np.abs(deviation))), "%", None, n),
        Figure("linearity_error_max", float(np.max(deviation)), "%", None, n),
        Figure("linearity_error_min", float(np.min(deviation)), "%", None, n),
        Figure("responsivity", line.slope, f"ADU/{unit}", line.slope_uncertainty, n),
        Figure("intercept", line.intercept, "ADU", line.intercept_uncertainty, n),
        Figure("r2", line.r2, "1", None, n),
    )


def _largest(signal: NDArray[np.float64], is_known: NDArray[np.bool_]) -> float:
    if not is_known.any() or signal[is_known].max() <= 0:
        raise InputError("expected finite signals above the dark level; got none. Was there light?")
    return float(signal[is_known].max())


def protocol(
    channel: str = "uniform light", longest_exposure_ms: float = 100.0, n_levels: int = 20
) -> Protocol:
    """Return how to acquire levels for linearity: those of the photon transfer curve will do."""
    if n_levels < LEAST_LEVELS:
        raise InputError(f"expected n_levels of at least {LEAST_LEVELS}; got {n_levels}")
    sequence = exposure_ladder(channel, longest_exposure_ms, n_levels)
    return Protocol(
        routine=ROUTINE.name,
        sample="uniform fluorescent slide out of focus, or transmitted light without a sample",
        sequence=sequence,
        exposure="steady light such that the longest exposure just saturates; order at random if the lamp drifts",
        duration_s=sequence_s(sequence),
        steps=("Put the slide on and defocus", "Let the lamp warm up"),
        every_days=180,
        parameters={"n_levels": n_levels, "longest_exposure_ms": longest_exposure_ms},
        source="EMVA 1288 release 4.0, section 7; number of levels: ours",
    )


ROUTINE = Routine(
    name="linearity",
    title="Camera linearity",
    holds_for=("camera",),
    measure=measure_linearity,
    inputs={"light": "exposure or meter reading of each level", "signal_adu": "mean less dark mean, ADU"},
    figures={
        "linearity_error": FigureNames("%", "Mean |deviation| from the line"),
        "linearity_error_max": FigureNames("%", "Largest deviation above the line"),
        "linearity_error_min": FigureNames("%", "Largest deviation below the line, negative"),
        "responsivity": FigureNames("ADU/ms", "Slope"),
        "intercept": FigureNames("ADU", "Signal without light on the fitted line"),
        "r2": FigureNames("1", "Of the weighted line"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "the lamp drifts or flickers during the series",
            "Repeat in reverse order; give a meter's readings as light",
            ("linearity_error", "linearity_error_max", "linearity_error_min", "r2"),
            OURS,
        ),
        Cause(
            "the exposure is not what was asked for",
            "Repeat with a fixed exposure and neutral filters; look for a mechanical shutter or a trigger delay",
            ("linearity_error", "linearity_error_max", "linearity_error_min", "intercept"),
            OURS,
        ),
        Cause(
            "the seam of a two-gain readout",
            "Look for a step in the deviations at one count; ask the maker for a new calibration",
            ("linearity_error_max", "linearity_error_min"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
