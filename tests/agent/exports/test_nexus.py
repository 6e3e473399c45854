"""NeXus groups, as JSON and read back from HDF5."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from agent.exports import FORMATS, Bundle, export, view_of
from agent.exports.nexus import nexus
from agent.exports.view import AcquisitionView
from agent.records import QcResult


@pytest.fixture
def opened() -> Any:
    """Open the export of an acquisition; the files are closed afterwards."""
    files: list[h5py.File] = []

    def open_one(view: AcquisitionView) -> h5py.File:
        files.append(h5py.File(io.BytesIO(export("nexus-hdf5", view)), "r"))
        return files[-1]

    yield open_one
    for file in files:
        file.close()


def test_nexus_is_a_tree_of_base_classes(standards: Path, view: AcquisitionView) -> None:
    tree = nexus(view)["entry"]
    assert tree["instrument"]["@NX_class"] == "NXinstrument"
    assert tree["instrument"]["objective"]["na"] == 0.6
    assert tree["instrument"]["detector"]["pixel_width_um"] == {"value": 10.0, "@units": "um"}
    for nx_class in ("NXinstrument", "NXdetector", "NXfilter", "NXoptical_lens", "NXfabrication"):
        assert (standards / "nexus" / f"{nx_class}.nxdl.xml").is_file()


def test_hdf5_has_base_classes_values_and_units(opened: Any, view: AcquisitionView) -> None:
    file = opened(view)
    assert file.attrs["NX_class"] == "NXroot" and file.attrs["default"] == "entry"
    classes: set[str] = set()
    file.visititems(
        lambda name, item: classes.add(item.attrs["NX_class"]) if "NX_class" in item.attrs else None
    )
    assert {"NXentry", "NXinstrument", "NXdetector", "NXoptical_lens", "NXfilter", "NXsource"} <= classes
    instrument = file["entry/instrument"]
    assert instrument["objective/na"][()] == 0.6 and instrument["objective/na"].dtype == np.float64
    assert instrument["detector/pixel_width_um"].attrs["units"] == "um"
    assert instrument["detector/fabrication/serial_number"].asstr()[()] == "302173"
    assert file["entry/start_time"].asstr()[()] == view.bundle.finished.started.wall_at.isoformat()


def test_hdf5_holds_the_same_as_the_json(opened: Any, view: AcquisitionView) -> None:
    def tree_of(group: h5py.Group) -> dict[str, Any]:
        tree: dict[str, Any] = {f"@{name}": value for name, value in group.attrs.items()}
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                tree[name] = tree_of(item)
            else:
                value = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()].item()
                units = {f"@{key}": text for key, text in item.attrs.items()}
                tree[name] = {"value": value} | units if units else value
        return tree

    assert tree_of(opened(view)["entry"]) == with_bars(nexus(view)["entry"])


def with_bars(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a tree as it must look where a slash cannot stand in a name."""
    return {
        key.replace("/", "|"): with_bars(item) if isinstance(item, dict) else item
        for key, item in tree.items()
    }


def test_names_that_hdf5_cannot_hold_become_ones_that_it_can(
    opened: Any, bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]
) -> None:
    finished = bundle.finished
    channel = finished.plan.channels[0].model_copy(update={"preset": "細胞 a/b\0\udce9"})
    plan = finished.plan.model_copy(update={"channels": (channel,)})
    changed = replace(bundle, finished=finished.model_copy(update={"plan": plan}))
    names = list(opened(view_of(with_qc(changed, qc(light_path={}))))["entry/parameters"])
    assert any(name.startswith("細胞 a|b\ufffd?: channel.") for name in names)


def test_two_cameras_are_two_detectors(opened: Any, two_cameras: AcquisitionView) -> None:
    instrument = opened(two_cameras)["entry/instrument"]
    assert instrument["detector/name"].asstr()[()] == "Example sCMOS"
    assert instrument["detector_2/name"].asstr()[()] == "Second"


def test_format_is_listed() -> None:
    assert FORMATS["nexus-hdf5"].suffix == ".nxs"
