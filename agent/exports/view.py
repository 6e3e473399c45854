"""One acquisition with profile, plan and live state joined: what every exporter reads.

Parts of the profile are joined by device label and state label. A channel's preset is laid over the state before
the run. What device and profile both state is compared, and a contradiction is told, never settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from agent.exports.bundle import Bundle
from agent.records import (
    Camera,
    ChannelPlan,
    ChannelStatement,
    Filter,
    FilterCube,
    ImageDescription,
    LightSource,
    Magnifier,
    Objective,
    Part,
    PropertyRef,
    ReadingStatus,
    Scalar,
)

P = TypeVar("P", bound=Part)
Labels = Mapping[str, str]


@dataclass(frozen=True)
class ChannelView:
    """One channel with the parts its light goes through; where several cameras see it, one for each.

    `index` is its place in the plan.
    """

    name: str
    index: int
    plan: ChannelPlan | None
    camera_label: str | None
    camera: Camera | None
    statement: ChannelStatement | None
    cube: FilterCube | None
    excitation: Filter | None
    dichroic: Filter | None
    emission: Filter | None
    light: LightSource | None
    power_percent: float | None
    power_mw: float | None
    exposure_ms: float | None


@dataclass(frozen=True)
class PositionView:
    """One place on the sample."""

    index: int
    name: str
    x_um: float | None
    y_um: float | None
    z_um: float | None


@dataclass(frozen=True)
class PlaneView:
    """One frame."""

    position: int
    t: int
    c: int
    z: int
    delta_t_s: float | None
    exposure_ms: float | None
    x_um: float | None
    y_um: float | None
    z_um: float | None


@dataclass(frozen=True)
class AcquisitionView:
    """One acquisition, joined.

    Attributes
    ----------
    bundle : Bundle
        Its records.
    position : int
        The place on the sample that an export of a single image is of.
    """

    bundle: Bundle
    position: int = 0

    # -- live values

    def reading(self, device: str | None, name: str) -> Scalar | None:
        """Return what a property was before the run; none when it was not read."""
        before = self.bundle.finished.before
        read = before.devices.get(device or "", {}).get(name) if before else None
        return read.value if read is not None and read.status is ReadingStatus.OK else None

    def referred(self, ref: PropertyRef | None) -> float | None:
        """Return the number that a property of the profile refers to."""
        return number(self.reading(ref.device, ref.property)) if ref else None

    @cached_property
    def labels(self) -> Labels:
        """Position label of every state device before the run."""
        before = self.bundle.finished.before
        read = {device: self.reading(device, "Label") for device in (before.devices if before else {})}
        return {device: str(label) for device, label in read.items() if label not in (None, "")}

    def labels_in(self, plan: ChannelPlan | None) -> Labels:
        """Position labels in a channel: those before the run under those its preset commands."""
        labels = dict(self.labels)
        for key, value in (plan.settings if plan else {}).items():
            for device, name in self._split(key):
                if name == "Label":
                    labels[device] = value
                elif name == "State" and (label := self._state_label(device, value)):
                    labels[device] = label
        return labels

    def _split(self, key: str) -> Iterable[tuple[str, str]]:
        """Split 'device-property'; both may hold hyphens."""
        at = [index for index, letter in enumerate(key) if letter == "-"]
        pairs = [(key[:index], key[index + 1 :]) for index in at]
        known = self.bundle.instrument.devices if self.bundle.instrument else None
        if known is None:
            return pairs[-1:]
        return [(device, name) for device, name in pairs if device in known]

    def _state_label(self, device: str, state: str) -> str | None:
        described = self.bundle.instrument.devices.get(device) if self.bundle.instrument else None
        labels = described.state_labels if described else ()
        return labels[int(state)] if state.isdecimal() and int(state) < len(labels) else None

    # -- parts

    @cached_property
    def objective(self) -> Objective | None:
        """The objective in the light path."""
        return mounted(self.bundle.profile.objectives, self.labels)

    @cached_property
    def magnifier(self) -> Magnifier | None:
        """The magnification changer's position in the light path."""
        return mounted(self.bundle.profile.magnifiers, self.labels)

    @cached_property
    def camera(self) -> Camera | None:
        """The first camera that took images."""
        return self._camera(self.camera_label)

    @property
    def camera_label(self) -> str | None:
        """Its label."""
        return self.image.camera if self.image else None

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """Every camera that took images, each once."""
        found = [self.camera, *(channel.camera for channel in self.channels)]
        return tuple({camera.name: camera for camera in found if camera}.values())

    def _camera(self, label: str | None) -> Camera | None:
        cameras = self.bundle.profile.cameras
        return next((camera for camera in cameras if camera.device and camera.device == label), None)

    @property
    def image(self) -> ImageDescription | None:
        """What the first camera delivered."""
        return next(iter(self.bundle.finished.images), None)

    @cached_property
    def channels(self) -> tuple[ChannelView, ...]:
        """The channels; one without a plan when none was planned."""
        plans: Sequence[ChannelPlan | None] = self.bundle.finished.plan.channels or (None,)
        return tuple(
            self._channel(plan, index, label, n_cameras=len(labels))
            for index, plan in enumerate(plans)
            for labels in (self._cameras_in(index, plan),)
            for label in labels
        )

    def _cameras_in(self, index: int, plan: ChannelPlan | None) -> Sequence[str | None]:
        """Return the cameras of a channel: those that delivered its frames, else the one its preset chooses.

        Images of another size than the first camera's have no place among the channels of one image.
        """
        seen = self._cameras_seen.get(index, ())
        sizes = {image.camera: (image.width_px, image.height_px) for image in self.bundle.finished.images}
        alike = [label for label in seen if sizes.get(label) in (None, sizes.get(self.camera_label or ""))]
        return alike or [(plan.settings.get("Core-Camera") if plan else None) or self.camera_label]

    @cached_property
    def _cameras_seen(self) -> Mapping[int, Sequence[str]]:
        """Place of a channel in the plan to the cameras of its frames, in the order in which they came."""
        seen: dict[int, list[str]] = {}
        frames = self.bundle.frames
        for index, camera in zip(frames.index, frames.camera, strict=True) if frames else ():
            labels = seen.setdefault(index.get("c", 0), [])
            if camera and camera not in labels:
                labels.append(camera)
        return seen

    def _channel(
        self, plan: ChannelPlan | None, index: int, camera_label: str | None, n_cameras: int
    ) -> ChannelView:
        profile, labels = self.bundle.profile, self.labels_in(plan)
        statement = self._statement(plan)
        cube = mounted(profile.filter_cubes, labels)
        excitation, dichroic, emission = (
            _filter(profile.filters, role, labels, getattr(cube, role) if cube else None)
            for role in ("excitation", "dichroic", "emission")
        )
        light = self._light(plan, statement)
        percent, milliwatt = self._power(light, plan)
        name = plan.preset if plan else "default"
        return ChannelView(
            name=name if n_cameras == 1 else f"{name} ({camera_label})",
            index=index,
            plan=plan,
            camera_label=camera_label,
            camera=self._camera(camera_label),
            statement=statement,
            cube=cube,
            excitation=excitation,
            dichroic=dichroic,
            emission=emission,
            light=light,
            power_percent=percent,
            power_mw=milliwatt,
            exposure_ms=self._exposure(plan, camera_label),
        )

    def _statement(self, plan: ChannelPlan | None) -> ChannelStatement | None:
        if plan is None:
            return None
        fitting = (item for item in self.bundle.profile.channels if item.preset == plan.preset)
        return next((item for item in fitting if item.group in (None, plan.group)), None)

    def _light(self, plan: ChannelPlan | None, statement: ChannelStatement | None) -> LightSource | None:
        sources = self.bundle.profile.light_sources
        if statement and statement.light_source:
            return next((item for item in sources if item.name == statement.light_source), None)
        shutter = (plan.settings.get("Core-Shutter") if plan else None) or self.reading("Core", "Shutter")
        behind = [item for item in sources if item.shutter and item.shutter == shutter]
        return behind[0] if len(behind) == 1 else None

    def _power(
        self, light: LightSource | None, plan: ChannelPlan | None
    ) -> tuple[float | None, float | None]:
        """Return the power setting as percent and mW; what the profile cannot convert stays absent."""
        ref = light.intensity if light else None
        if light is None or ref is None:
            return None, None
        commanded = plan.settings.get(f"{ref.device}-{ref.property}") if plan else None
        value = number(commanded) if commanded is not None else self.referred(ref)
        if value is None:
            return None, None
        if ref.unit == "mW":
            return None, value
        full = light.intensity_maximum or (100.0 if ref.unit == "%" else None)
        return (100.0 * value / full if full else None), None

    def _exposure(self, plan: ChannelPlan | None, camera_label: str | None) -> float | None:
        if plan and plan.exposure:
            return number(plan.exposure.value)
        read = self.reading(camera_label, "@exposure")
        return number(read if read is not None else self.reading(camera_label, "Exposure"))

    # -- image

    def size(self, axis: str) -> int:
        """Return the length of t, c, z or p; 1 when the axis was not planned and never seen."""
        planned = self.bundle.finished.plan.axes.get(axis)
        if planned:
            return planned
        frames = self.bundle.frames
        return 1 + max((index.get(axis, 0) for index in frames.index), default=0) if frames else 1

    @property
    def pixel_size_um(self) -> float | None:
        """Size of a pixel in the sample."""
        size = self.image.pixel_size if self.image else None
        value = number(size.value) if size else None
        return value if value and value > 0 else None

    @property
    def z_step_um(self) -> float | None:
        """Distance between planes."""
        step = self.bundle.finished.plan.z_step
        value = number(step.value) if step else None
        return abs(value) if value else None

    @property
    def time_interval_s(self) -> float | None:
        """Interval between time points."""
        interval = self.bundle.finished.plan.time_interval
        value = number(interval.value) if interval else None
        return value if value and value > 0 else None

    @cached_property
    def positions(self) -> tuple[PositionView, ...]:
        """Places on the sample: planned names, measured coordinates where there are any."""
        planned = (self.bundle.finished.plan.sequence or {}).get("stage_positions") or []
        n_grid = self.bundle.finished.plan.axes.get("g", 1) or 1
        return tuple(self._position(i, planned, n_grid) for i in range(self.size("p") * n_grid))

    def _position(self, index: int, planned: Sequence[Any], n_grid: int) -> PositionView:
        at = index // n_grid
        stated = planned[at] if at < len(planned) and isinstance(planned[at], dict) else {}
        name = str(stated.get("name") or f"Pos{at}") + (f"_{index % n_grid:04d}" if n_grid > 1 else "")
        first = next((plane for plane in self.planes if plane.position == index), None)
        found = [getattr(first, f"{axis}_um") if first else None for axis in "xyz"]
        meant = [number(stated.get(axis)) if n_grid == 1 else None for axis in "xyz"]
        x, y, z = (f if f is not None else m for f, m in zip(found, meant, strict=True))
        return PositionView(index, name, x, y, z)

    @cached_property
    def planes(self) -> tuple[PlaneView, ...]:
        """Every frame of a channel."""
        frames = self.bundle.frames
        if frames is None:
            return ()
        n_grid = self.bundle.finished.plan.axes.get("g", 1) or 1
        began_ns = self.bundle.finished.started.monotonic_ns
        places = {(item.index, item.camera_label): c for c, item in reversed([*enumerate(self.channels)])}
        by_index = {index: c for (index, _), c in places.items()}
        planes = []
        for i, index in enumerate(frames.index):
            planned, camera = index.get("c", 0), frames.camera[i]
            if camera is not None and (planned, camera) not in places:
                continue
            c = places.get((planned, camera), by_index.get(planned, planned))
            runner = frames.runner_time_ms[i]
            delta = runner / 1e3 if runner is not None else (frames.seen_monotonic_ns[i] - began_ns) / 1e9
            place = index.get("p", 0) * n_grid + index.get("g", 0)
            where = [_unsigned_zero(column[i]) for column in (frames.x_um, frames.y_um, frames.z_um)]
            t, z = index.get("t", 0), index.get("z", 0)
            planes.append(PlaneView(place, t, c, z, delta, frames.exposure_ms[i], *where))
        return tuple(planes)

    @cached_property
    def contradictions(self) -> tuple[str, ...]:
        """What device and profile state differently, in words; neither is overwritten."""
        from agent.exports.contradictions import contradictions

        return tuple(contradictions(self))


def view_of(bundle: Bundle) -> AcquisitionView:
    """Return a bundle with everything joined."""
    return AcquisitionView(bundle)


def number(value: Any) -> float | None:
    """Return a number that a device or plan told, as one or as text; none for anything else.

    >>> number("2.5"), number("on"), number(True), number(10**400)
    (2.5, None, None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):  # a whole number may have hundreds of digits
        return None
    return found if abs(found) < float("inf") else None


def _unsigned_zero(value: float | None) -> float | None:
    """Return -0.0 as 0.0: stages with inverted axes say so, and readers wonder."""
    return value + 0.0 if value is not None else None


def mounted(parts: Sequence[P], labels: Labels) -> P | None:
    """Return the part that is in the light path: the one whose device is in its state, or the only one."""
    for part in parts:
        if part.device and part.state and labels.get(part.device) == part.state:
            return part
    fixed = [part for part in parts if part.state is None]
    return fixed[0] if len(fixed) == 1 and len(parts) == 1 else None


def _filter(filters: Sequence[Filter], role: str, labels: Labels, in_cube: str | None) -> Filter | None:
    fitting = [item for item in filters if item.role == role]
    if in_cube:
        return next((item for item in fitting if item.name == in_cube), None)
    for item in fitting:
        if item.device and item.state and labels.get(item.device) == item.state:
            return item
    return None
