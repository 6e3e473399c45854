"""Does a commanded step in z move the focus by as much: scale, scatter and backlash of a z drive.

z is along the optical axis in the sense of the drive. The measured height is what the image says: the focus of beads,
the place of a tilted grid's sharp line, the steps of a stairs pattern.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.errors import InputError
from qc_routines.few import sd_uncertainty, student_deviate, widened
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.straight_line import StraightLine, fit_line
from qc_routines.theory import Expected

LEAST_STEPS = 5
OUTLIER_SIGMAS = 6.0
"""Of many heights; of few as rare a deviate of Student's t, by which none of six is ever left out."""


def measure_axial_steps(
    commanded_um: ArrayLike, measured_um: ArrayLike, direction: ArrayLike | None = None
) -> Measurement:
    """Return scale, scatter and backlash.

    Parameters
    ----------
    commanded_um, measured_um : array_like, (n,)
        Position asked for and height found; NaN where it was not found. Heights off the line by six robust sigma, of few by more, are
        left out and counted.
    direction : array_like, (n,), optional
        +1 where the drive came from below, -1 where from above; by default from the order of the commands.

    Raises
    ------
    InputError
        Unequal lengths, or fewer than five heights at two different commands.
    """
    asked, found = np.asarray(commanded_um, float), np.asarray(measured_um, float)
    if asked.ndim != 1 or asked.shape != found.shape:
        raise InputError(f"expected a height for each command; got {found.shape} and {asked.shape}")
    way = _directions(asked) if direction is None else np.sign(np.asarray(direction, float))
    if way.shape != asked.shape:
        raise InputError(f"expected a direction for each command; got {way.shape} and {asked.shape}")
    known = np.isfinite(asked) & np.isfinite(found)
    used = _near_line(asked, found, way, known)
    line, scatter, backlash = _line_and_backlash(asked[used], found[used], way[used])
    counts = {"no height": int((~known).sum()), "off the line": int((known & ~used).sum())}
    n = int(used.sum())
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(
            Figure("step_ratio", line.slope, "1", line.slope_uncertainty, n),
            Figure("scale_error", 100 * (line.slope - 1), "%", 100 * line.slope_uncertainty, n),
            scatter,
            Figure("largest_residual", float(np.abs(line.residuals).max()), "um", None, n),
            backlash,
            Figure("r2", line.r2, "1", None, n),
        ),
        n_used=n,
        n_rejected={reason: k for reason, k in counts.items() if k},
        table={"commanded_um": asked, "measured_um": found, "direction": way, "is_used": used},
    )


def _directions(asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return +1 and -1 by whether the command before was lower or higher; the first as the second."""
    if asked.size < 2:
        return np.ones_like(asked)
    way = np.sign(np.diff(asked))
    for i in range(1, way.size):
        way[i] = way[i] or way[i - 1]
    return np.concatenate([way[:1], way])


def _near_line(
    asked: NDArray[np.float64], found: NDArray[np.float64], way: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which heights are near a line that outliers cannot pull: slopes by Theil and Sen."""
    if known.sum() < LEAST_STEPS or np.unique(asked[known]).size < 2:
        raise InputError(
            f"expected at least {LEAST_STEPS} heights at different commands; got {int(known.sum())}"
        )
    x, y = asked[known], found[known]
    dx, dy = x[:, None] - x[None, :], y[:, None] - y[None, :]
    is_apart = dx > 0
    slope = float(np.median(dy[is_apart] / dx[is_apart]))
    residuals = found - slope * asked
    for side in (1, -1):
        chosen = known & (way == side)
        if chosen.any():
            residuals[chosen] -= np.median(residuals[chosen])
    spread = 1.4826 * float(np.median(np.abs(residuals[known])))
    limit = max(
        student_deviate(OUTLIER_SIGMAS, max(int(known.sum()) - 3, 1)) * spread, 1e-9 * float(np.ptp(y))
    )
    near = known & (np.abs(residuals) <= limit)
    return near if near.sum() >= LEAST_STEPS else known


def _line_and_backlash(
    asked: NDArray[np.float64], found: NDArray[np.float64], way: NDArray[np.float64]
) -> tuple[StraightLine, Figure, Figure]:
    """Return the line after both directions were brought together, the scatter about it, and what brought them: up less down."""
    up, down = way > 0, way < 0
    has_both = up.sum() >= 2 and down.sum() >= 2
    columns = [np.ones_like(asked), asked, *([np.where(up, 0.5, -0.5)] if has_both else [])]
    design, n, n_free = np.column_stack(columns), asked.size, asked.size - len(columns)
    coefficients, *_ = np.linalg.lstsq(design, found, rcond=None)
    scatter = float(np.sum((found - design @ coefficients) ** 2) / n_free) ** 0.5
    sigmas = widened(scatter, n_free) * np.sqrt(np.diag(np.linalg.pinv(design.T @ design)))
    apart = (float(coefficients[2]), float(sigmas[2])) if has_both else (None, None)
    together = fit_line(asked, found - (coefficients[2] * design[:, 2] if has_both else 0.0))
    return (
        replace(together, slope_uncertainty=float(sigmas[1])),
        Figure("residual_sd", scatter, "um", sd_uncertainty(scatter, n_free), n),
        Figure("backlash", apart[0], "um", apart[1], n if has_both else 0),
    )


def theory(mirror_ratio: float = 1.0) -> tuple[Expected, ...]:
    """Return the expected ratio of measured to commanded step; 1 when nothing lies between."""
    return (Expected("step_ratio", mirror_ratio, "1", "identity", "a step is a step"),)


def protocol(
    channel: str = "FITC",
    exposure_ms: float = 50.0,
    range_um: float = 20.0,
    step_um: float = 0.5,
    n_repeats: int = 1,
) -> Protocol:
    """Return how to acquire stairs from below to above and back, so that every stair is met from both sides."""
    n_planes = round(range_um / step_um) + 1
    return Protocol(
        routine="axial_steps",
        sample="stairs: columns of dots or lines, each a known step higher than the one before (Argolight)",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms}],
            "z_plan": {"range": range_um, "step": step_um},
        },
        exposure="half of full scale",
        duration_s=round(2 * n_repeats * n_planes * (exposure_ms / 1000 + 0.1), 1),
        steps=(
            "Put the stairs into the middle of the field, higher ones to the right, and focus on the middle one",
            "Switch the autofocus off",
        ),
        every_days=182,
        is_automatic=True,
        parameters={"range_um": range_um, "step_um": step_um, "n_repeats": n_repeats},
        source="after NCL-ImageAnalysis Omero_Microscope_QC (Argolight stairs); both directions: ours",
    )


ROUTINE = Routine(
    name="axial_steps",
    title="Axial step accuracy",
    measure=measure_axial_steps,
    inputs={
        "commanded_um": "z asked for, um",
        "measured_um": "height found, um",
        "direction": "+1 or -1; optional",
    },
    figures={
        "step_ratio": FigureNames("1", "Measured over commanded step"),
        "scale_error": FigureNames("%", "Step ratio less one"),
        "residual_sd": FigureNames("um", "Scatter about the line"),
        "largest_residual": FigureNames("um", "Largest distance from the line"),
        "backlash": FigureNames("um", "Height coming from below less that coming from above"),
        "r2": FigureNames("1", "Of the line"),
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "refractive indices of immersion and sample differ",
            "Correct for the focal shift, or use a matching immersion",
            ("step_ratio", "scale_error"),
            OURS,
        ),
        Cause(
            "z drive or piezo is out of calibration",
            "Compare drive and piezo; have it calibrated",
            ("step_ratio", "scale_error", "residual_sd"),
            OURS,
        ),
        Cause(
            "stairs not level",
            "Level the slide: a tilt of 1 mrad adds 0.1 % for stairs that are as far apart as they are high, eight times "
            "that where they are eight times as far apart",
            ("step_ratio", "scale_error"),
            OURS,
        ),
        Cause(
            "backlash or friction of the focus drive",
            "Approach from one side only; adjust the tension; use closed loop",
            ("backlash", "residual_sd", "largest_residual"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
