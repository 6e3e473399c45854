"""What a routine is given: stacks by role, facts, and which channel and position of the files is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from agent.quality.facts import Facts
from agent.quality.stacks import Stack, StackError
from qc_routines.conditions import Camera, Mode, Optics, VoxelSize

MAIN = "image"
DARK = "dark"
BRIGHT = "bright"


@dataclass(frozen=True)
class Given:
    """Everything a measurement may use.

    Attributes
    ----------
    stacks : mapping
        Role (image, dark, bright) to stacks.
    facts : Facts
        What is known beside them.
    channel : str or int or None
        Which channel of a file with several, by name or number.
    position : int or None
        Which position of a file with several.
    columns : mapping
        Columns of a table, for routines that measure numbers and no images.
    """

    stacks: Mapping[str, Sequence[Stack]]
    facts: Facts
    channel: str | int | None = None
    position: int | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def all(self, role: str = MAIN) -> Sequence[Stack]:
        """Return the stacks of a role, of which there must be one or more."""
        if not self.stacks.get(role):
            how = {
                MAIN: "name the file",
                DARK: "give it with --dark FILE",
                BRIGHT: "give it with --bright FILE",
            }
            which = "" if role == MAIN else f"{role} "
            raise StackError(f"There is no {which}image to measure on: {how[role]}.")
        return self.stacks[role]

    def one(self, role: str = MAIN) -> Stack:
        """Return the only stack of a role."""
        stacks = self.all(role)
        if len(stacks) > 1:
            raise StackError(
                f"One {role} image is wanted, {len(stacks)} were given: measure them one by one."
            )
        return stacks[0]

    def array(self, axes: str, role: str = MAIN) -> NDArray[Any]:
        """Return the only stack of a role with exactly these axes."""
        return self.axes_of(self.one(role), axes)

    def axes_of(self, stack: Stack, axes: str) -> NDArray[Any]:
        """Return a stack with exactly these axes, of the channel and position that are meant."""
        index = {}
        if self.channel is not None:
            index["c"] = self.channel_index(stack)
        if self.position is not None:
            index["p"] = _checked(stack, "p", self.position, "position")
        return stack.taken(axes, **index)

    def frames(self, stack: Stack) -> NDArray[Any]:
        """Return a series as (t, y, x); planes of a file that knows no time count as times."""
        axes = "tyx" if "t" in stack.axes else "zyx" if "z" in stack.axes else "yx"
        frames = self.axes_of(stack, axes)
        return frames if frames.ndim == 3 else frames[None]

    def channel_index(self, stack: Stack) -> int:
        """Return the number of the channel that is meant; 0 where a file has but one."""
        if self.channel is None:
            return 0
        names = [channel.name for channel in stack.channels]
        if "c" not in stack.axes and not any(names) and not str(self.channel).isdigit():
            return 0  # one channel that the file does not name: it is what whoever measures it says
        if self.channel in names:
            return names.index(str(self.channel))
        if str(self.channel).isdigit():
            return _checked(stack, "c", int(self.channel), "channel")
        has = ", ".join(name for name in names if name) or "channels without names, numbered from 0"
        raise StackError(f"{stack.path} has no channel {self.channel!r}; it has {has}.")

    # ---- conditions

    def voxel(self) -> VoxelSize:
        """Return the voxel size."""
        return VoxelSize(*(float(self.facts.need(f"voxel_{axis}_um")) for axis in "zyx"))

    def pixel_um(self, is_needed: bool = True) -> float | None:
        """Return the pixel size along x."""
        size = self.facts.need("voxel_x_um") if is_needed else self.facts.find("voxel_x_um")
        return None if size is None else float(size)

    def optics(self, channel: int = 0) -> Optics:
        """Return objective and wavelengths of a channel; all that the mode's formula needs is asked for."""
        facts = self.facts
        needed_wavelength(facts, channel)
        return Optics(
            Mode(facts.find("mode") or Mode.WIDEFIELD),
            float(facts.need("numerical_aperture")),
            float(facts.need("immersion_index")),
            facts.find("emission_nm", channel),
            facts.find("excitation_nm", channel),
        )

    def camera(self) -> Camera | None:
        """Return the camera's noise when all of it is known."""
        names = ("offset_adu", "conversion_e_per_adu", "read_noise_e")
        known = [self.facts.find(name) for name in names]
        return None if None in known else Camera(*known, self.facts.find("full_scale_adu"))


def needed_wavelength(facts: Facts, channel: int = 0) -> float:
    """Return the wavelength that the formulae of the mode take: of excitation where that makes the image.

    Raises
    ------
    MissingFactError
        Nobody states it.
    """
    mode = Mode(facts.assume("mode", Mode.WIDEFIELD.value))
    name = "excitation_nm" if mode in (Mode.CONFOCAL, Mode.MULTIPHOTON) else "emission_nm"
    return float(facts.need(name, channel))


def _checked(stack: Stack, axis: str, index: int, word: str) -> int:
    n = stack.data.shape[stack.axes.index(axis)] if axis in stack.axes else 1
    if not 0 <= index < n:
        raise StackError(
            f"{stack.path} has {n} {word}{'s' if n > 1 else ''}, numbered from 0; there is no {word} {index}."
        )
    return index
