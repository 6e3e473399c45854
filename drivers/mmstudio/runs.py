"""An acquisition of Studio, as the drivers tell of acquisitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drivers.mmcore.sequences import is_stale_in_cache
from drivers.readings import (
    Channel,
    FramePosition,
    FrameStamp,
    Hardware,
    How,
    Image,
    Key,
    SequencePlan,
    Value,
)

AXES = {"time": "t", "position": "p", "channel": "c", "z": "z"}
DTYPES = {8: "uint8", 16: "uint16", 32: "float32"}


def plan_of(settings: Mapping[str, Any] | str | None, summary: Mapping[str, Any]) -> SequencePlan:
    """Return the plan of Studio's acquisition settings (``SequenceSettings`` as JSON) and summary metadata.

    The summary tells the dimensions; the settings, which hold no number of positions, tell the rest.
    """
    asked = json.loads(settings) if isinstance(settings, str) else dict(settings or {})
    sizes = _sizes(asked, summary)
    is_timed = asked.get("useFrames") and sizes.get("t", 1) > 1
    n_frames = 1
    for size in sizes.values():
        n_frames *= size
    is_whole = all(c.get("doZStack", True) and not c.get("skipFactorFrame") for c in _channels(asked))
    slices = asked.get("slices") or ()
    return SequencePlan(
        axes={axis: size for axis, size in sizes.items() if size > 1},
        n_frames=n_frames if sizes and is_whole else None,
        channels=tuple(
            Channel(c.get("channelGroup", ""), c.get("config", ""), c.get("exposure"))
            for c in _channels(asked)
        ),
        z_step_um=round(abs(slices[1] - slices[0]), 9)
        if asked.get("useSlices") and len(slices) > 1
        else None,
        time_interval_s=asked["intervalMs"] / 1e3 if is_timed and "intervalMs" in asked else None,
        source=asked or None,
    )


def _channels(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not asked.get("useChannels"):
        return []
    return [channel for channel in asked.get("channels", ()) if channel.get("useChannel", True)]


def _sizes(asked: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the length of each axis; those of the settings where the summary does not tell."""
    told = summary.get("dimensions") or summary.get("IntendedDimensions")
    if isinstance(told, Mapping) and told:
        return {AXES.get(axis, axis): int(size) for axis, size in told.items() if int(size) > 0}
    if not asked or asked.get("usePositionList"):
        return {}
    return {
        "t": int(asked.get("numFrames", 1)) if asked.get("useFrames") else 1,
        "c": max(len(_channels(asked)), 1),
        "z": max(len(asked.get("slices", ())), 1) if asked.get("useSlices") else 1,
    }


def images_of(summary: Mapping[str, Any], camera: str | None, bit_depth: int | None) -> tuple[Image, ...]:
    """Return what the camera delivers, where the summary tells its size."""
    width = summary.get("width_px") or summary.get("Width")
    height = summary.get("height_px") or summary.get("Height")
    if not (width and height):
        return ()
    bits = next((bits for bits in DTYPES if (bit_depth or 0) <= bits), 32) if bit_depth else 16
    return (Image(camera or "", int(width), int(height), DTYPES[bits]),)


def scope_data(summary: Mapping[str, Any], hardware: Hardware) -> dict[Key, Value]:
    """Return the device state at the start that Studio's engine wrote into the summary metadata.

    Its entries are named 'Device-Property', and both may hold a '-': the longest label that is loaded is the device.
    """
    values: dict[Key, Value] = {}
    labels = sorted(hardware.devices, key=len, reverse=True)
    for name, value in (summary.get("InitialScopeData") or {}).items():
        label = next((label for label in labels if name.startswith(f"{label}-")), None)
        if label is not None and value is not None:
            key = Key(label, name[len(label) + 1 :])
            if not is_stale_in_cache(hardware.devices[label].device_type, key.property):
                values[key] = str(value)
    return values


def stamp_of(image: Mapping[str, Any], plan: SequencePlan) -> FrameStamp:
    """Return the stamp of an image event; what Studio leaves out of its coordinates is at zero.

    Studio takes over the position from its engine's plan, so that is what it is: commanded.
    """
    coords = {AXES.get(axis, axis): int(at) for axis, at in (image.get("coords") or {}).items()}
    index = {axis: coords.get(axis, 0) for axis in plan.axes} | coords
    channel = plan.channels[coords.get("c", 0)] if coords.get("c", 0) < len(plan.channels) else None
    position = (image.get("x_um"), image.get("y_um"), image.get("z_um"))
    is_told = any(value is not None for value in position)
    exposure = image.get("exposure_ms")
    return FrameStamp(
        index=index,
        runner_time_ms=image.get("elapsed_ms"),
        camera=image.get("camera"),
        channel=channel.preset if channel else None,
        exposure_ms=exposure if exposure is not None else channel.exposure_ms if channel else None,
        position=FramePosition(*position, How.COMMANDED if is_told else None),
    )
