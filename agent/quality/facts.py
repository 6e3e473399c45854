"""What a measurement must know beside the images, and who said so: an option, the file, the hardware, the plan.

A fact that nobody states is asked for; none is made up. `Facts.sources` says where each one that was used is from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.errors import CaptureError

if TYPE_CHECKING:
    from agent.quality.stacks import Stack

IMMERSION_INDEX = {
    "air": 1.0,
    "water": 1.333,
    "dipping": 1.333,
    "glycerol": 1.47,
    "silicone_oil": 1.406,
    "oil": 1.518,
}
"""Refractive indices at 23 degC, green light; those of `qc_routines.conditions` and of the makers' immersion media."""


class MissingFactError(CaptureError):
    """A measurement needs to know something that nobody states; the message names the option that gives it."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How a fact is called, and the option that states it."""

    words: str
    option: str


WORDINGS: dict[str, Wording] = {
    "voxel_z_um": Wording("the distance of the planes (um)", "--voxel-um Z,Y,X"),
    "voxel_y_um": Wording("the pixel size along y (um)", "--voxel-um Y,X or --voxel-um Z,Y,X"),
    "voxel_x_um": Wording("the pixel size along x (um)", "--voxel-um Y,X or --voxel-um Z,Y,X"),
    "numerical_aperture": Wording("the numerical aperture of the objective", "--na 1.4"),
    "immersion_index": Wording("the immersion medium", "--immersion oil (or its refractive index)"),
    "emission_nm": Wording("the emission wavelength (nm)", "--emission-nm 520 (one for each channel)"),
    "excitation_nm": Wording("the excitation wavelength (nm)", "--excitation-nm 488"),
    "mode": Wording("the kind of microscope", "--mode widefield"),
    "bead_diameter_um": Wording("the diameter of the beads (um)", "--bead-um 0.2"),
    "pitch_um": Wording("the distance of the dots (um)", "--set pitch_um=15"),
    "spacing_um": Wording("the distances of the line pairs (um)", "--set spacing_um=0.2,0.3"),
    "stair_um": Wording("how much higher each stair is than the one before (um)", "--set stair_um=1"),
    "reference_image": Wording(
        "the field at time zero", "--reference FILE, or set time zero with 'qc baseline set'"
    ),
    "conversion_e_per_adu": Wording("the camera's electrons per count", "--set conversion_e_per_adu=0.46"),
    "exposures_ms": Wording("the exposure of each file (ms)", "--set exposures_ms=10,100,1000"),
    "settings": Wording("the setting of the detector for each series", "--set settings=500,600,700"),
    "gain": Wording(
        "the property that sets the gain or high voltage of the detector",
        "--set gain=DEVICE-PROPERTY ('scopestamp snapshot' lists the properties)",
    ),
    "times_s": Wording("when each frame was taken (s)", "--set interval_s=60"),
    "stage_yx_um": Wording(
        "where the stage stood for each image", "--positions FILE.csv (columns y_um, x_um)"
    ),
}


class Facts:
    """What is known, by the name of the fact.

    Parameters
    ----------
    options : mapping
        Stated explicitly; they win.
    stack : Stack, optional
        What its file says comes second.
    others : mapping
        Name to value and source, such as what the hardware said.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        stack: Stack | None = None,
        others: Mapping[str, tuple[Any, str]] | None = None,
    ) -> None:
        self._options = dict(options)
        self._stack = stack
        self._others = dict(others or {})
        self.sources: dict[str, str] = {}
        self.used: dict[str, Any] = {}

    def find(self, name: str, channel: int = 0) -> Any:
        """Return a fact, or None when nobody states it."""
        for value, source in self._told(name, channel):
            if value is not None:
                key = f"{name}_channel_{channel}" if channel else name
                self.used[key], self.sources[key] = value, source
                return value
        return None

    def need(self, name: str, channel: int = 0) -> Any:
        """Return a fact.

        Raises
        ------
        MissingFactError
            Nobody states it; the message names the option that does.
        """
        value = self.find(name, channel)
        if value is None:
            wording = WORDINGS.get(name, Wording(name.replace("_", " "), f"--set {name}=…"))
            where = f"{self._stack.path} does not say" if self._stack else "nobody says"
            raise MissingFactError(
                f"Needed is {wording.words}, which {where}. Give it with {wording.option}."
            )
        return value

    def assume(self, name: str, value: Any) -> Any:
        """Return a fact, or `value` when nobody states it; a remark then says that it was assumed."""
        found = self.find(name)
        if found is None:
            self.used[name], self.sources[name] = value, "assumed, because nobody states it"
            return value
        return found

    def remarks(self) -> tuple[str, ...]:
        """Return where each fact that was used is from, and where an option overrules the file."""
        remarks = [f"{name} = {_plain(self.used[name])}: {self.sources[name]}." for name in sorted(self.used)]
        for name in sorted(self.used):
            said = _said(self._stack, name, 0)
            if said is not None and name in self._options and not _is_close(said, self.used[name]):
                remarks.append(f"The file says {name} = {_plain(said)}; the option was believed.")
        return tuple(remarks)

    def _told(self, name: str, channel: int) -> list[tuple[Any, str]]:
        other, source = self._others.get(name, (None, ""))
        return [
            (_of_channel(self._options.get(name), name, channel), "option"),
            (_said(self._stack, name, channel), "file"),
            (_of_channel(other, name, channel), source),
        ]


def _of_channel(value: Any, name: str, channel: int) -> Any:
    """Return the entry of one channel where a wavelength was stated for each."""
    is_wavelength = name in ("emission_nm", "excitation_nm")
    if not is_wavelength or not isinstance(value, Sequence) or isinstance(value, str):
        return value
    return value[channel] if channel < len(value) else None


def _said(stack: Stack | None, name: str, channel: int) -> Any:
    """Return what the file says of a fact."""
    if stack is None:
        return None
    if name.startswith("voxel_"):
        return stack.voxel_um.get(name[len("voxel_")])
    if name in ("emission_nm", "excitation_nm"):
        return getattr(stack.channels[channel], name) if channel < len(stack.channels) else None
    return getattr(stack, name) if name in ("numerical_aperture", "immersion_index") else None


def _is_close(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return abs(one - other) <= 1e-6 * abs(other) if numbers else bool(one == other)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{len(value)} values"
    return f"{value:g}" if isinstance(value, float) else str(value)
