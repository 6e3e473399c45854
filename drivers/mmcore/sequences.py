"""What a pymmcore-plus acquisition tells of itself: plan, images, frames, outputs.

All of it comes from what the engine hands to its signals. Nothing here asks the core, except for the writers,
which no signal carries.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.errors import DEVICE_ERRORS
from drivers.readings import (
    Channel,
    FramePosition,
    FrameStamp,
    How,
    Image,
    Key,
    Moment,
    PropertyReading,
    SequencePlan,
    Status,
    Value,
)

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

AUTOFOCUS_S = 120.0
WRITERS_PACKAGE = "ome_writers"
MOST_EVENTS_COUNTED = 50_000  # beyond that, planned frames are the product of the axes


def forget_sequences() -> None:
    """Empty useq-schema's caches: they keep all sequences ever run, some 7 kB each, in a process that runs for a year."""
    iterating = sys.modules.get("useq._iter_sequence")
    for cached in vars(iterating).values() if iterating else ():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def writers_at_work() -> tuple[threading.Thread, ...]:
    """Return the threads of pymmcore-plus' writers that still write: it gives them 5 s to end, and goes on without them."""
    return tuple(
        thread
        for thread in threading.enumerate()
        if type(thread).__module__.partition(".")[0] == WRITERS_PACKAGE
    )


def have_ended(threads: Iterable[threading.Thread], timeout_s: float) -> bool:
    """Wait until all have ended, for so long at most; return whether they have."""
    until_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(until_s - time.monotonic(), 0.0))
        if thread.is_alive():
            return False
    return True


def plan_of(sequence: Any, summary: Mapping[str, Any]) -> SequencePlan:
    """Return the plan of a useq-schema sequence; a sequence without an end has no frame count."""
    from useq import MDASequence

    n_cameras = _n_camera_channels(summary)
    if not isinstance(sequence, MDASequence) or not _is_finite(sequence):
        return SequencePlan(axes={}, n_frames=None, source=_as_json(sequence))
    return SequencePlan(
        axes={axis: length for axis, length in sequence.sizes.items() if length},
        n_frames=_n_events(sequence) * n_cameras,
        channels=tuple(
            Channel(channel.group, channel.config, channel.exposure) for channel in sequence.channels
        ),
        z_step_um=_z_step(sequence),
        time_interval_s=_time_interval(sequence),
        longest_pause_s=_longest_pause(sequence),
        source=_as_json(sequence),
    )


def _n_camera_channels(summary: Mapping[str, Any]) -> int:
    images = summary.get("image_infos") or ({},)
    return images[0].get("num_camera_adapter_channels", 1)


def _is_finite(sequence: Any) -> bool:
    from pymmcore_plus import GeneratorMDASequence

    return not isinstance(sequence, GeneratorMDASequence)


def _n_events(sequence: Any) -> int:
    """Count the events that take an image: per-channel Z skips and autofocus make it differ from the product."""
    if not _is_product_of_axes(sequence):
        actions = [event.action.type for event in islice(sequence, MOST_EVENTS_COUNTED)]
        if len(actions) < MOST_EVENTS_COUNTED:
            return actions.count("acquire_image")
    product = 1
    for length in sequence.sizes.values():
        product *= max(length, 1)
    return product


def _is_product_of_axes(sequence: Any) -> bool:
    """Return whether every combination of the axes is one frame; then nothing needs counting (20 us an event)."""
    return (
        sequence.autofocus_plan is None
        and all(channel.do_stack and channel.acquire_every == 1 for channel in sequence.channels)
        and all(position.sequence is None for position in sequence.stage_positions)
    )


def _z_step(sequence: Any) -> float | None:
    positions = list(sequence.z_plan) if sequence.z_plan is not None else []
    return round(abs(positions[1] - positions[0]), 9) if len(positions) > 1 else None


def _time_interval(sequence: Any) -> float | None:
    interval = getattr(sequence.time_plan, "interval", None)
    return interval.total_seconds() if interval is not None else None


def _longest_pause(sequence: Any) -> float:
    """Return how long no frame may come although all is well, s: the longest interval, the longest exposure, autofocus."""
    phases = getattr(sequence.time_plan, "phases", None) or [sequence.time_plan]
    intervals = [getattr(phase, "interval", None) for phase in phases]
    seconds = [interval.total_seconds() for interval in intervals if interval is not None]
    exposures = [(channel.exposure or 0.0) / 1e3 for channel in sequence.channels]
    nested = [
        _longest_pause(place.sequence) for place in sequence.stage_positions if place.sequence is not None
    ]
    focusing_s = AUTOFOCUS_S if sequence.autofocus_plan is not None else 0.0
    return max([0.0, *seconds, *nested]) + max([0.0, *exposures]) + focusing_s


def _as_json(sequence: Any) -> dict[str, Any] | None:
    dump = getattr(sequence, "model_dump", None)
    return dump(mode="json", exclude_unset=True) if dump else None


def images_of(summary: Mapping[str, Any]) -> tuple[Image, ...]:
    """Return one entry per camera of a SummaryMetaV1."""
    return tuple(
        Image(
            camera=info["camera_label"],
            width_px=info["width"],
            height_px=info["height"],
            dtype=info["dtype"],
            pixel_format=info.get("pixel_format"),
            pixel_size_um=info.get("pixel_size_um") or None,
            pixel_size_preset=info.get("pixel_size_config_name"),
        )
        for info in summary.get("image_infos") or ()
    )


def is_stale_in_cache(device_type: str, name: str) -> bool:
    """Return whether the core's cache is known to be wrong: positions, and the number beside a state's label."""
    return (device_type, name) in {("StateDevice", "State"), ("StageDevice", "Position")}


def readings_of(
    summary: Mapping[str, Any], moment: Moment, typed: Callable[[Key, Any], Value | None]
) -> dict[Key, PropertyReading]:
    """Return the device state of a SummaryMetaV1.

    The engine took properties from the core's cache, so those that are known to be stale there are left out,
    and read the positions of the current stages from hardware.
    """
    readings = {}
    for device in summary.get("devices") or ():
        for prop in device.get("properties") or ():
            key = Key(device["label"], prop["name"])
            if not is_stale_in_cache(device.get("type", ""), prop["name"]):
                readings[key] = _reading(key, typed(key, prop.get("value")), How.CACHE, moment)
    for key, position in _positions_of(summary, readings):
        readings[key] = _reading(key, position, How.HARDWARE, moment, "um")
    return readings


def _reading(
    key: Key, value: Value | None, how: How, moment: Moment, unit: str | None = None
) -> PropertyReading:
    if value is None:
        return PropertyReading(key, Status.FAILED, how, moment, error="no value in the engine's summary")
    return PropertyReading(key, Status.OK, how, moment, value, unit)


def _positions_of(
    summary: Mapping[str, Any], readings: Mapping[Key, PropertyReading]
) -> Iterator[tuple[Key, float]]:
    position = summary.get("position") or {}
    for role, name, axis in (("XYStage", "@x", "x"), ("XYStage", "@y", "y"), ("Focus", "@position", "z")):
        stage = readings.get(Key("Core", role))
        if stage is not None and stage.value and position.get(axis) is not None:
            yield Key(str(stage.value), name), position[axis]


def frame_stamp(event: Any, meta: Mapping[str, Any]) -> FrameStamp:
    """Return what a frame's event and FrameMetaV1 tell: the commanded position where none was read."""
    channel = getattr(event, "channel", None)
    return FrameStamp(
        index=dict(getattr(event, "index", None) or {}),
        runner_time_ms=meta.get("runner_time_ms"),
        camera=meta.get("camera_device"),
        channel=getattr(channel, "config", None),
        exposure_ms=meta.get("exposure_ms"),
        position=_position(event, meta.get("position")),
    )


def _position(event: Any, read: Mapping[str, float] | None) -> FramePosition:
    if read:
        return FramePosition(read.get("x"), read.get("y"), read.get("z"), How.HARDWARE)
    commanded = (getattr(event, "x_pos", None), getattr(event, "y_pos", None), getattr(event, "z_pos", None))
    return FramePosition(*commanded, How.COMMANDED if any(value is not None for value in commanded) else None)


def writers_of(core: CMMCorePlus) -> tuple[Any, tuple[Any, ...]]:
    """Return what the running acquisition writes with: its sink, and the handlers of the user's program."""
    # No public way in 0.18: the sink is a private attribute of the runner.
    return getattr(core.mda, "_sink", None), tuple(getattr(core.mda, "_handlers", ()))


def output_paths(sink: Any, handlers: Iterable[Any]) -> tuple[str, ...]:
    """Return where these write, as far as they tell; absolute paths."""
    paths = [_path_of_sink(sink), *map(_path_of_handler, handlers)]
    return tuple(dict.fromkeys(str(Path(path).absolute()) for path in paths if path))


def _path_of_sink(sink: Any) -> str | None:
    settings = getattr(sink, "_settings", None)
    if settings is None or getattr(settings.format, "name", "") == "scratch":
        return None
    return settings.output_path


def _path_of_handler(handler: Any) -> str | os.PathLike[str] | None:
    """Return a handler's path; handlers are the user's own objects, whose attributes can be anything."""
    try:
        store = getattr(getattr(handler, "group", None), "store", None)
        told = [getattr(handler, name, None) for name in ("_filename", "_directory")]
        told += [getattr(store, name, None) for name in ("path", "root")]
    except DEVICE_ERRORS:
        return None
    return next((path for path in told if path and isinstance(path, (str, os.PathLike))), None)
