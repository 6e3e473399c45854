"""Images from files: one array with named axes, and what the file says of its voxels and channels.

Read are OME-Zarr (0.4 and 0.5, also several positions), OME-TIFF and plain TIFF. What a file does not say stays None:
nothing is guessed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.errors import CaptureError

UM_PER_UNIT = {"micrometer": 1.0, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nanometer": 1e-3, "nm": 1e-3,
               "millimeter": 1e3, "mm": 1e3}  # fmt: skip
AXES = "ptczyx"
_TORN = re.compile(
    r"invalid page offset|TiffTag (?:270|273|279|324|325) .*invalid value offset|missing data are zeroed"
)
"""What tifffile says of a file whose end is missing: pages, or a description or pieces of an image that lie beyond it."""
FOREIGN = (".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims", ".lsm", ".png", ".jpg", ".jpeg")
"""Kinds of files that people have instead."""


class StackError(CaptureError):
    """A file that holds no image we can measure on; the message says why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What a file says of one channel; None where it says nothing."""

    name: str
    emission_nm: float | None = None
    excitation_nm: float | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """An image and what its file says of it.

    Attributes
    ----------
    data : ndarray
        All frames, in the order of `axes`.
    axes : str
        One letter per dimension, of p (position), t, c, z, y, x.
    voxel_um : mapping
        Axis letter to spacing, um; only what the file says.
    channels : tuple of Channel
        As many as there are along c; empty when the file names none.
    numerical_aperture, immersion_index : float or None
        Of the objective in use.
    path : Path
        The file.
    """

    data: NDArray[Any]
    axes: str
    path: Path
    voxel_um: Mapping[str, float] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    numerical_aperture: float | None = None
    immersion_index: float | None = None

    def taken(self, wanted: str, **index: int) -> NDArray[Any]:
        """Return the data with exactly the axes `wanted`, in that order.

        Axes that are not wanted are taken at ``index`` (default: their only entry).

        Raises
        ------
        StackError
            An axis that is wanted is not there, or one that is not wanted has several entries and no index.
        """
        data, axes = self.data, self.axes
        for axis in self.axes:
            if axis in wanted:
                continue
            length = data.shape[axes.index(axis)]
            if axis not in index and length > 1:
                raise StackError(
                    f"{self.path} has {length} {AXIS_NAMES[axis]}s, but one is wanted: {WHICH.get(axis, WHICH_ELSE)}."
                )
            data = data.take(index.get(axis, 0), axis=axes.index(axis))
            axes = axes.replace(axis, "")
        if missing := [AXIS_NAMES[axis] for axis in wanted if axis not in axes]:
            raise StackError(
                f"{self.path} has the axes {self.axes.upper()}; there is no {' and no '.join(missing)}."
            )
        return np.ascontiguousarray(data.transpose([axes.index(axis) for axis in wanted]))


WHICH = {"c": "say which with --channel", "p": "say which with --position"}
WHICH_ELSE = "give a file that holds just that one"
AXIS_NAMES = {"p": "position", "t": "time", "c": "channel", "z": "z plane", "y": "row", "x": "column"}


def read_stack(path: Path) -> Stack:
    """Return the image in a file or an OME-Zarr folder.

    Raises
    ------
    StackError
        It is not there, is truncated, or is no image of a kind we read.
    """
    if not path.exists():
        raise StackError(f"There is no image at {path}.")
    try:
        if path.is_dir():
            return _read_zarr(path) if _is_zarr(path) else _read_tiff_folder(path)
        return _read_tiff(path)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        if isinstance(error, StackError):
            raise
        if path.suffix.lower() in FOREIGN:
            raise StackError(
                f"{path} is of a kind that is not read; read are OME-Zarr, OME-TIFF and TIFF. Export it as one of these."
            ) from error
        raise StackError(f"{path} cannot be read as an image: {error}. Is it complete?") from error


def _is_zarr(path: Path) -> bool:
    return (path / "zarr.json").is_file() or (path / ".zattrs").is_file()


# ---- OME-Zarr


def _read_zarr(path: Path) -> Stack:
    attributes = _zarr_attributes(path)
    if "bioformats2raw.layout" in attributes:
        return _positions([_read_zarr_image(path / name, path) for name in _series(path)], path)
    return _read_zarr_image(path, path)


def _series(path: Path) -> list[str]:
    listed = _zarr_attributes(path / "OME").get("series") if (path / "OME").is_dir() else None
    return listed or sorted(child.name for child in path.iterdir() if child.is_dir() and child.name.isdigit())


def _zarr_attributes(path: Path) -> dict[str, Any]:
    if (path / "zarr.json").is_file():
        attributes = json.loads((path / "zarr.json").read_bytes()).get("attributes", {})
    else:
        attributes = json.loads((path / ".zattrs").read_bytes())
    return {**attributes, **attributes.get("ome", {})}


def _read_zarr_image(path: Path, top: Path) -> Stack:
    import zarr

    attributes = _zarr_attributes(path)
    if "multiscales" not in attributes:
        raise StackError(f"{path} is a Zarr group without an OME image in it.")
    scales = attributes["multiscales"][0]
    dataset = scales["datasets"][0]
    data = np.asarray(zarr.open_array(path / dataset["path"], mode="r")[...])
    axes = "".join(axis["name"] for axis in scales["axes"])
    if not set(axes) <= set(AXES) or len(set(axes)) != len(axes):
        raise StackError(f"{path} has the axes {axes!r}; known are t, c, z, y and x.")
    scale = next(t["scale"] for t in dataset["coordinateTransformations"] if t["type"] == "scale")
    voxel = {
        axis["name"]: size * UM_PER_UNIT[axis["unit"]]
        for axis, size in zip(scales["axes"], scale, strict=True)
        if axis["name"] in "zyx" and axis.get("unit") in UM_PER_UNIT
    }
    channels = tuple(
        Channel(str(c.get("label", ""))) for c in attributes.get("omero", {}).get("channels", ())
    )
    return Stack(data, axes, top, voxel, channels)


def _positions(stacks: list[Stack], path: Path) -> Stack:
    if not stacks:
        raise StackError(f"{path} has no image in it.")
    first = stacks[0]
    if len({(stack.axes, stack.data.shape) for stack in stacks}) > 1:
        raise StackError(f"The positions in {path} differ in shape; measure on them one by one.")
    if len(stacks) == 1:
        return first
    data = np.stack([stack.data for stack in stacks])
    return Stack(
        data,
        "p" + first.axes,
        path,
        first.voxel_um,
        first.channels,
        first.numerical_aperture,
        first.immersion_index,
    )


# ---- TIFF


def _read_tiff_folder(path: Path) -> Stack:
    files = sorted(file for file in path.iterdir() if file.name.lower().endswith((".tif", ".tiff")))
    if not files:
        raise StackError(f"{path} is neither an OME-Zarr nor a folder of TIFF files.")
    return _positions([_read_tiff(file) for file in files], path)


def _read_tiff(path: Path) -> Stack:
    import tifffile

    with _complaints() as complaints, tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        axes = series.axes.lower()
        data = series.asarray()
        ome_xml, imagej = tiff.ome_metadata, tiff.imagej_metadata
        page = tiff.pages.first
        resolution = page.get_resolution("micrometer") if "XResolution" in page.tags else None
    if any(_TORN.search(said) for said in complaints):
        raise StackError(
            f"{path} is not complete: images that it tells of are not in it. Was its acquisition or its copy cut off?"
        )
    if "s" in axes:
        raise StackError(f"{path} is a colour image (RGB); a measurement wants the camera's own counts.")
    axes = axes.replace("q", "z").replace("i", "z")  # plain pages: the only stack there is
    if not set(axes) <= set(AXES) or len(set(axes)) != len(axes):
        raise StackError(f"{path} has the axes {axes!r}; known are t, c, z, y and x.")
    if ome_xml:
        return _with_ome(Stack(data, axes, path), ome_xml)
    return Stack(data, axes, path, _imagej_voxel(imagej, resolution))


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Give what tifffile says of a file that it reads as far as it can; nothing of that reaches the console."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, listener = logging.getLogger("tifffile"), Listener(logging.WARNING)
    propagates = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates


def _imagej_voxel(
    imagej: Mapping[str, Any] | None, resolution: tuple[float, float] | None
) -> dict[str, float]:
    """Return spacings of an ImageJ TIFF, the only plain TIFF that says what its resolution means."""
    if not imagej or not resolution or str(imagej.get("unit", "")).replace("\\u00B5", "µ") not in UM_PER_UNIT:
        return {}
    per_unit = UM_PER_UNIT[str(imagej["unit"]).replace("\\u00B5", "µ")]
    voxel = {axis: per_unit / count for axis, count in zip("xy", resolution, strict=True) if count > 0}
    return voxel | ({"z": float(imagej["spacing"]) * per_unit} if "spacing" in imagej else {})


def _with_ome(stack: Stack, ome_xml: str) -> Stack:
    import ome_types

    ome = ome_types.from_xml(ome_xml)
    pixels = ome.images[0].pixels
    voxel = {
        axis: size * UM_PER_UNIT[unit.value]
        for axis in "xyz"
        if (size := getattr(pixels, f"physical_size_{axis}"))
        and (unit := getattr(pixels, f"physical_size_{axis}_unit")).value in UM_PER_UNIT
    }
    channels = tuple(
        Channel(channel.name or "", channel.emission_wavelength, channel.excitation_wavelength)
        for channel in pixels.channels
    )
    aperture, index = _objective(ome)
    return Stack(stack.data, stack.axes, stack.path, voxel, channels, aperture, index)


def _objective(ome: Any) -> tuple[float | None, float | None]:
    """Return numerical aperture and refractive index of the objective the first image was taken with."""
    settings = ome.images[0].objective_settings
    if settings is None:
        return None, None
    objectives = {
        objective.id: objective for instrument in ome.instruments for objective in instrument.objectives
    }
    objective = objectives.get(settings.id)
    return (objective.lens_na if objective else None), settings.refractive_index
