"""What to acquire for a routine, for any microscope: the slide, the frames in their order, what a person must do.

A `sequence` is a plain dictionary in the words of useq-schema (channels, z_plan, time_plan, stage_positions), which
an agent can hand to a driver; this package knows no driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qc_routines.results import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the arrays of one routine are acquired.

    Attributes
    ----------
    routine : str
        Name of the routine.
    sample : str
        What lies on the stage.
    sequence : mapping
        Plain dictionary in the layout of a useq MDASequence; empty when frames alone will not do.
    exposure : str
        How exposure and light are set, in words.
    duration_s : float
        How long it takes, the person's part left out.
    steps : tuple of str
        What a person must do, in order, before the sequence runs.
    is_automatic : bool
        Whether nobody has to be there once the sample lies on the stage.
    every_days : float
        How often.
    parameters : mapping
        What the sequence was worked out from.
    source : str
        Where the procedure is from.
    """

    routine: str
    sample: str
    exposure: str
    duration_s: float
    steps: tuple[str, ...]
    every_days: float
    source: str
    sequence: Mapping[str, Any] = field(default_factory=dict)
    is_automatic: bool = False
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


def z_stack(
    channels: tuple[str, ...], exposure_ms: float, range_um: float, step_um: float, **more: Any
) -> dict[str, Any]:
    """Return the sequence of a z stack about the present focus, channel by channel at each place.

    Examples
    --------
    >>> z_stack(("FITC",), 50, range_um=4, step_um=0.2)["z_plan"]
    {'range': 4, 'step': 0.2}
    """
    return {
        "axis_order": "tpcz",
        "channels": [{"config": channel, "exposure": exposure_ms} for channel in channels],
        "z_plan": {"range": range_um, "step": step_um},
        **more,
    }


def time_series(channel: str, exposure_ms: float, n_frames: int, interval_s: float = 0.0) -> dict[str, Any]:
    """Return the sequence of frames in one place, as fast as the camera gives them or one every `interval_s`."""
    return {
        "axis_order": "tpcz",
        "channels": [{"config": channel, "exposure": exposure_ms}],
        "time_plan": {"interval": interval_s, "loops": n_frames},
    }


def exposure_ladder(channel: str, longest_exposure_ms: float, n_levels: int) -> dict[str, Any]:
    """Return the sequence of pairs of frames at exposures in equal steps.

    Examples
    --------
    >>> [level["exposure"] for level in exposure_ladder("FITC", 100, 4)["channels"]]
    [25.0, 50.0, 75.0, 100.0]
    """
    exposures_ms = [round(longest_exposure_ms * (i + 1) / n_levels, 3) for i in range(n_levels)]
    return {
        "axis_order": "tpcz",
        "channels": [{"config": channel, "exposure": exposure} for exposure in exposures_ms],
        "time_plan": {"interval": 0.0, "loops": 2},
    }


def sequence_s(sequence: Mapping[str, Any], overhead_s: float = 0.1) -> float:
    """Return how long a sequence takes, s: exposures, plus an overhead for each frame, or its intervals if longer.

    Examples
    --------
    >>> sequence_s(z_stack(("FITC",), 50, range_um=4, step_um=0.2))
    3.15
    """
    z_plan, time_plan = sequence.get("z_plan"), sequence.get("time_plan", {})
    n_slices = round(z_plan["range"] / z_plan["step"]) + 1 if z_plan else 1
    n_loops, n_places = time_plan.get("loops", 1), len(sequence.get("stage_positions", ())) or 1
    once_s = sum(channel["exposure"] / 1000 + overhead_s for channel in sequence["channels"])
    loop_s = max(once_s * n_slices * n_places, time_plan.get("interval", 0.0))
    return round(loop_s * n_loops, 3)
