"""The microscope as it stands before a QC run: what is chosen, where the stages are, what the labels say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.profile.labels import objective_in
from agent.quality.facts import IMMERSION_INDEX

STATE_LABEL = "Label"


@dataclass(frozen=True)
class Scene:
    """Every reading of the hardware, by device and property; only those that could be read.

    Attributes
    ----------
    readings : mapping
        (device, property) to value.
    """

    readings: Mapping[tuple[str, str], Any]

    @classmethod
    def of(cls, readings: Iterable[Mapping[str, Any]]) -> Scene:
        """Return the scene in the answer of the hardware process to ``read_all``."""
        return cls({(r["device"], r["property"]): r["value"] for r in readings if r["status"] == "ok"})

    def role(self, name: str) -> str:
        """Return the device that the core uses as Camera, Shutter, Focus or XYStage; empty: none."""
        return str(self.readings.get(("Core", name), "") or "")

    @property
    def channel_group(self) -> str:
        """The configuration group of the channels; empty: none."""
        return self.role("ChannelGroup")

    @property
    def channel(self) -> str:
        """The channel that is set now; empty: none of the presets."""
        return str(self.readings.get(("Core", f"@preset {self.channel_group}"), "") or "")

    @property
    def exposure_ms(self) -> float | None:
        """The camera's exposure."""
        value = self.readings.get((self.role("Camera"), "@exposure"))
        return None if value is None else float(value)

    @property
    def pixel_um(self) -> float | None:
        """The pixel size that the configuration states."""
        return float(self.readings.get(("Core", "@pixel_size"), 0) or 0) or None

    @property
    def shape_yx(self) -> tuple[int, int] | None:
        """Rows and columns of the camera's region."""
        region = self.readings.get((self.role("Camera"), "@roi"))
        if not region:
            return None
        parts = dict(part.split("=") for part in str(region).split())
        return int(parts["height"]), int(parts["width"])

    @property
    def position(self) -> dict[str, float]:
        """x, y and z of the current stages, as far as there are any."""
        places = {"x": ("XYStage", "@x"), "y": ("XYStage", "@y"), "z": ("Focus", "@position")}
        found = {axis: self.readings.get((self.role(role), name)) for axis, (role, name) in places.items()}
        return {axis: float(value) for axis, value in found.items() if value is not None}

    @property
    def objective(self) -> str:
        """The label of the objective in use; empty when no device is called one."""
        labels = [
            str(value)
            for (device, name), value in self.readings.items()
            if name == STATE_LABEL and any(word in device.lower() for word in ("objective", "nosepiece"))
        ]
        return labels[0] if len(labels) == 1 else ""

    def light_path(self, channels: Iterable[str], holds_for: Sequence[str]) -> dict[str, str]:
        """Return what a result holds for: the parts named in `holds_for` that are known."""
        path = {
            "objective": self.objective,
            "camera": self.role("Camera"),
            "channel": " + ".join(channels) or self.channel,
            "stage": self.role("XYStage"),
        }
        return {key: path[key] for key in holds_for if path[key]}

    def facts(self) -> dict[str, tuple[Any, str]]:
        """Return what the label of the objective says, each with that as its source."""
        said, source = objective_in(self.objective), f"read off the label {self.objective!r}; check it"
        index = IMMERSION_INDEX.get(str(said.get("immersion", "")))
        if index is None and said.get("na", 1.0) < 0.95 and "immersion" not in said:
            index, source_index = 1.0, f"air, as {self.objective!r} names no immersion; check it"
        else:
            source_index = source
        found = {
            "numerical_aperture": (said.get("na"), source),
            "magnification": (said.get("magnification"), source),
            "immersion_index": (index, source_index),
        }
        return {name: stated for name, stated in found.items() if stated[0] is not None}
