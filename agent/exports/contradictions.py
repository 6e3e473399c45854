"""What a device and the profile state differently: told, never settled."""

from __future__ import annotations

from collections.abc import Iterable

from agent.exports.view import AcquisitionView, ChannelView, number
from agent.records import Camera


def contradictions(view: AcquisitionView) -> Iterable[str]:
    """Yield what device and profile state differently, in words."""
    told = set()
    for channel in view.channels:
        if channel.camera and channel.camera_label not in told:
            told.add(channel.camera_label)
            yield from _of_chip(view, channel.camera, str(channel.camera_label))
            yield from _of_pixel_size(view, channel, channel.camera)


def _of_chip(view: AcquisitionView, camera: Camera, label: str) -> Iterable[str]:
    depth = number(view.reading(label, "BitDepth"))
    if camera.bit_depth and depth and depth > camera.bit_depth:
        yield f"{label}: the device says a bit depth of {depth:g}, the profile {camera.bit_depth}."
    for axis, stated in (("X", camera.array_width_px), ("Y", camera.array_height_px)):
        found = number(view.reading(label, f"OnCameraCCD{axis}Size"))
        if stated and found and found != stated:
            yield f"{label}: the device says {found:g} pixels in {axis}, the profile {stated}."


def _of_pixel_size(view: AcquisitionView, channel: ChannelView, camera: Camera) -> Iterable[str]:
    objective, size = view.objective, view.pixel_size_um
    if not (objective and objective.magnification and camera.pixel_width_um and size):
        return
    binning = number(str(view.reading(channel.camera_label, "Binning") or 1).split("x")[0]) or 1.0
    total = objective.magnification * (view.magnifier.magnification or 1.0 if view.magnifier else 1.0)
    expected = camera.pixel_width_um * binning / (total * (camera.relay_magnification or 1.0))
    if abs(expected - size) > 0.05 * expected:
        yield (
            f"Pixel size: the configuration says {size:g} µm, pixel pitch and magnification of the profile make "
            f"{expected:.4g} µm."
        )
