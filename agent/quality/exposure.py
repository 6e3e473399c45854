"""Find the exposure at which frames are as bright as a routine wants them, with a few snaps that are kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import HardwareError
from agent.quality.restore import CALL_S, Hardware
from qc_routines.levels import Level

MOST_SNAPS = 8
FIRST_MS = 10.0
SHORTEST_MS, LONGEST_MS = 0.1, 1000.0
LEAST_BUDGET_MS = 2000.0
"""Light that a search may use in any case; otherwise it may use as much as the run itself."""
CLIPPED = 0.98
AFTER_CLIPPING = 0.1
MOST_CHANGE = 20.0
LEAST_OF_LOW = 1 / 8
"""A field darker than this part of the lowest level that is wanted is no field: lamp off, shutter closed, other slide."""


@dataclass(frozen=True)
class Exposure:
    """What a search found.

    Attributes
    ----------
    channel : str
        Preset it holds for.
    exposure_ms : float
        Of the last snap.
    level : float
        Of the last snap, part of full scale.
    n_snaps : int
        How many it took.
    light_ms : float
        How long they were together.
    is_reached : bool
        Whether the level is as wanted; else it is darker and nothing more could be done.
    """

    channel: str
    exposure_ms: float
    level: float
    n_snaps: int
    light_ms: float
    is_reached: bool

    def remark(self, wanted: Level) -> str:
        """Return it as a sentence."""
        words = f"Exposure for {self.channel or 'the frames'}: {self.exposure_ms:g} ms, found in {self.n_snaps} snaps; "
        words += f"{100 * self.level:.0f} % of full scale, {100 * wanted.low:.0f} to {100 * wanted.high:.0f} % wanted"
        return words + ("." if self.is_reached else ": too dark. Use more light or a brighter slide.")


def find_exposure(
    hardware: Hardware, channel: str, wanted: Level, start_ms: float, budget_ms: float
) -> Exposure:
    """Return the exposure that gives a level, with everything as it stands.

    Parameters
    ----------
    hardware : Hardware
        Takes the snaps; the shutter opens by itself.
    channel : str
        That is set; only named.
    wanted : Level
        What is wanted.
    start_ms : float
        The first is no longer than this.
    budget_ms : float
        Light that the search may use, if more than `LEAST_BUDGET_MS`.

    Raises
    ------
    HardwareError
        Frames are clipped at the shortest exposure, all but dark at the longest where they may not be, or none could be
        taken.
    """
    exposure_ms, light_ms = min(start_ms, FIRST_MS), 0.0
    for n in range(1, MOST_SNAPS + 1):
        numbers = hardware.call("snap", CALL_S + exposure_ms / 1000, exposure_ms=exposure_ms)
        light_ms += exposure_ms
        level = numbers[f"{wanted.of}_adu"] / numbers["full_scale_adu"]
        found = Exposure(channel, exposure_ms, level, n, light_ms, wanted.low <= level <= wanted.high)
        if found.is_reached:
            return found
        next_ms = _next_ms(exposure_ms, level, wanted)
        if next_ms == exposure_ms or light_ms + next_ms > max(budget_ms, LEAST_BUDGET_MS):
            break
        exposure_ms = next_ms
    if found.level > wanted.high:
        raise HardwareError(
            f"The frames of {channel or 'the camera'} are too bright: {100 * found.level:.0f} % of full scale at "
            f"{found.exposure_ms:g} ms, where at most {100 * wanted.high:.0f} % is wanted. Turn the light down, put in a "
            f"neutral filter, or state an exposure with --set {wanted.argument}=…"
        )
    if not wanted.may_be_dark and found.level < LEAST_OF_LOW * wanted.low:
        raise HardwareError(
            f"The frames of {channel or 'the camera'} are too dark: {100 * found.level:.0f} % of full scale at "
            f"{found.exposure_ms:g} ms, where {100 * wanted.low:.0f} to {100 * wanted.high:.0f} % is wanted. Is the light "
            f"on, the shutter working, the right slide in? State an exposure with --set {wanted.argument}=… to measure anyway."
        )
    return found


def _next_ms(exposure_ms: float, level: float, wanted: Level) -> float:
    """Return what to try next; the same when it can be no shorter or longer."""
    if level >= CLIPPED:
        change = AFTER_CLIPPING
    else:
        change = min(max(wanted.aim / max(level, 1e-6), 1 / MOST_CHANGE), MOST_CHANGE)
    return min(max(round(exposure_ms * change, 3), SHORTEST_MS), LONGEST_MS)


def with_exposures(sequence: Mapping[str, Any], found: Mapping[str, float]) -> dict[str, Any]:
    """Return a sequence whose channels have the exposures that were found for them."""
    channels = [
        {**channel, "exposure": found.get(channel["config"], channel["exposure"])}
        for channel in sequence["channels"]
    ]
    return {**sequence, "channels": channels}
