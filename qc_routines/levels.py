"""How bright the frames of a routine are to be: the level that an exposure is chosen for.

A level is part of full scale, dark offset included, because that is where a camera clips. ``field`` levels are exceeded by
one pixel in a hundred, ``beads`` levels by ten pixels of the frame, so that a few defects have no say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Level:
    """How bright frames are to be.

    Attributes
    ----------
    low, high : float
        Part of full scale between which a frame is as it should be; the middle is aimed at.
    of : "field" or "beads"
        What is to be so bright.
    argument : str
        Argument of the protocol that the exposure is for.
    reaches : float or None
        The argument is the exposure that would reach this part of full scale; None: the exposure that was found.
    least_levels : int or None
        So many levels in equal steps up to there are wanted at least.
    may_be_dark : bool
        Frames that stay all but dark at the longest exposure are measured nonetheless.
    """

    low: float
    high: float
    of: Literal["field", "beads"] = "field"
    argument: str = "exposure_ms"
    reaches: float | None = None
    least_levels: int | None = None
    may_be_dark: bool = False

    @property
    def aim(self) -> float:
        """What is aimed at."""
        return (self.low + self.high) / 2


HALF = Level(0.40, 0.60)
BEADS = Level(0.35, 0.65, "beads", may_be_dark=True)
"""The brightest plane of a stack may be brighter than the one in which the exposure was found. Whether there are any beads, the
measurement says."""
PERHAPS = replace(HALF, argument="bright_exposure_ms", may_be_dark=True)
"""For what dark frames tell of as well."""
SATURATING = Level(0.40, 0.60, argument="longest_exposure_ms", reaches=1.25, least_levels=7)
"""The last levels of a curve are to clip, also where the field is darker. Of seven in equal steps over an even field the fifth is
the last that does not, and three are below 70 % of that: as many as a slope wants. Of six it is two."""

LEVELS: dict[str, Level] = {
    "psf": BEADS,
    "registration": BEADS,
    "illumination": HALF,
    "illumination_change": HALF,
    "photon_transfer": SATURATING,
    "linearity": SATURATING,
    "uniformity": HALF,
    "defects": PERHAPS,
    "stage": BEADS,
    "drift": BEADS,
    "autofocus": BEADS,
    "pixel_size": BEADS,
    "grid": BEADS,
    "line_pairs": BEADS,
    "thin_layer": HALF,
    "axial_steps": BEADS,
}
"""By name of the routine; what is not here takes dark frames or none. Sources: the protocols'."""
