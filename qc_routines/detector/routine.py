"""The routine of point detectors: protocol, names and causes."""

from __future__ import annotations

from collections.abc import Sequence

from qc_routines.advice import OURS, Cause
from qc_routines.detector.measure import measure_point_detector
from qc_routines.detector.series import LEAST_FRAMES
from qc_routines.errors import InputError
from qc_routines.protocols import Protocol, sequence_s, time_series
from qc_routines.routine import FigureNames, Routine


def protocol(
    channel: str = "uniform light",
    settings: Sequence[float] = (500.0, 600.0, 700.0, 800.0),
    exposure_ms: float = 1.0,
    n_frames: int = 30,
    wait_s: float = 1.0,
) -> Protocol:
    """Return how to acquire a time series at each setting of a detector.

    Raises
    ------
    InputError
        No setting, or fewer frames than bleaching is told by.
    """
    if n_frames < LEAST_FRAMES:
        raise InputError(f"expected n_frames of at least {LEAST_FRAMES}; got {n_frames}")
    if not settings or len(set(settings)) != len(settings):
        raise InputError(f"expected settings that differ; got {', '.join(map(str, settings)) or 'none'}")
    sequence = time_series(channel, exposure_ms, n_frames)
    texts = [f"{setting:g}" if isinstance(setting, int | float) else str(setting) for setting in settings]
    return Protocol(
        routine=ROUTINE.name,
        sample="uniform fluorescent slide, a little below its surface; the same field for all settings",
        sequence=sequence,
        exposure="dim enough that the highest setting saturates nowhere; zoom, dwell and laser power as in every other run; "
        "frame and line averaging, filters and offset corrections off",
        duration_s=round(len(settings) * (2 * sequence_s(sequence) + wait_s), 1),
        steps=(
            "Put the slide on and focus below its surface",
            "Switch averaging off and set the offset so that no count is cut off at zero",
            "Switch the room light off; let laser and detector warm up",
        ),
        every_days=90,
        parameters={"settings": ", ".join(texts), "n_frames": n_frames, "wait_s": wait_s},
        source="measurePSF, NoiSee and MetroloJ_QC (detector CV); numbers of frames and settings: ours",
    )


ROUTINE = Routine(
    name="point_detector",
    title="Detector of a point scanner",
    holds_for=("camera", "channel"),
    measure=measure_point_detector,
    inputs={
        "series": "TYX counts of each setting, ADU, in equal light",
        "settings": "gain or high voltage of each series, or names of detectors",
        "dark": "TYX dark counts, ADU: none, one series, or one for each setting; optional",
    },
    figures={
        "best_setting": FigureNames("1", "Setting with the best signal to noise that does not saturate"),
        "best_snr": FigureNames("1", "Signal to noise of one pixel at the best setting"),
        "gain_slope": FigureNames("1", "Slope of log gain against log setting"),
        "gain_r2": FigureNames("1", "Of that line"),
        "mean": FigureNames("ADU", "Mean above the offset"),
        "cv": FigureNames("%", "Standard deviation over mean of one image", None, "CV"),
        "cv_noise": FigureNames("%", "The part of it that changes from frame to frame"),
        "cv_fixed": FigureNames("%", "The part of it that stands still: uneven light, slide, dirt"),
        "relative_cv": FigureNames("1", "CV over that of the best setting", None, "relative CV"),
        "snr": FigureNames("1", "Signal over noise in time of one pixel"),
        "photons": FigureNames(
            "1", "Effective photons for each pixel and dwell; excess noise makes them fewer than detected"
        ),
        "gain": FigureNames("ADU", "Counts for each effective photon"),
        "bleaching": FigureNames("%", "Signal lost from the first frame to the last"),
        "saturated_fraction": FigureNames("%", "Of the counts at full scale"),
        "neighbour_correlation": FigureNames("1", "Of the noise of neighbouring pixels along a line"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "less light on the slide",
            "Measure the power at the sample; look at the slide's other fields, focus and pinhole",
            ("photons", "snr", "best_snr", "mean"),
            OURS,
        ),
        Cause(
            "less of the light reaches the detector",
            "Compare with another detector in the same light; check pinhole alignment, filters, mirrors and the objective",
            ("photons", "snr", "best_snr", "cv", "cv_noise"),
            OURS,
        ),
        Cause(
            "the detector has aged",
            "Its gain falls at the same setting: compare with time zero; have it calibrated or replaced",
            ("gain", "gain_slope", "gain_r2", "photons"),
            OURS,
        ),
        Cause(
            "the setting is not what it says",
            "Gain off the line at one setting: repeat with a longer wait; look for automatic gain or offset",
            ("gain_r2", "gain_slope", "gain", "best_setting"),
            OURS,
        ),
        Cause(
            "averaging, filtering or slow electronics",
            "Switch averaging and filters off; compare with a longer dwell",
            ("neighbour_correlation", "photons"),
            OURS,
        ),
        Cause(
            "too much light or gain",
            "Use a lower setting or less laser power",
            ("saturated_fraction", "bleaching"),
            OURS,
        ),
        Cause(
            "the slide bleaches, or sinks out of focus",
            "Less laser power, a fresh field, a wait for the temperature; watch the focus",
            ("bleaching",),
            OURS,
        ),
        Cause(
            "uneven light or a dirty slide",
            "Compare with the field illumination; clean the slide or move on it",
            ("cv_fixed", "cv", "relative_cv"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
