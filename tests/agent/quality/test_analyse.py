"""Files that exist, good and bad, measured by `qc analyse`: every refusal names its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from agent.errors import ScopestampError
from agent.quality.analyse import analyse_files
from agent.quality.assess import MeasureError, routine_named
from agent.quality.facts import MissingFactError
from agent.quality.stacks import StackError
from agent.records import QcResult, QcStatus

OIL = {"numerical_aperture": 1.4, "immersion_index": 1.518, "emission_nm": (520.0,)}
SHAPE = (21, 90, 110)
VOXEL_ZYX_UM = (0.2, 0.1, 0.1)
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write an OME-TIFF, with its voxel size unless told otherwise."""

    def write(
        data: np.ndarray, axes: str, name: str = "a", is_calibrated: bool = True, **metadata: Any
    ) -> Path:
        path = tmp_path / f"{name}.ome.tiff"
        sizes = dict(zip("ZYX", VOXEL_ZYX_UM, strict=True)) if is_calibrated else {}
        calibration = {f"PhysicalSize{axis}": size for axis, size in sizes.items()}
        tifffile.imwrite(path, data, ome=True, metadata={"axes": axes, **calibration, **metadata})
        return path

    return write


def analyse(name: str, *files: Path, **more: Any) -> QcResult:
    options = more.pop("options", {})
    return analyse_files(routine_named(name), files, options, **more)


def beads(n: int = 6, seed: int = 1) -> np.ndarray:
    """Return Gaussian beads of FWHM 0.6 um along z and 0.25 um across, on a lattice, with noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    sigma_z, sigma_y, sigma_x = 0.6 / 2.3548 / 0.2, 0.25 / 2.3548 / 0.1, 0.25 / 2.3548 / 0.1
    stack = np.full(SHAPE, 100.0)
    for k in range(n):
        at = (10.3, 22.4 + 43 * (k // 3), 20.7 + 33 * (k % 3))
        r2 = ((z - at[0]) / sigma_z) ** 2 + ((y - at[1]) / sigma_y) ** 2 + ((x - at[2]) / sigma_x) ** 2
        stack = stack + 3000 * np.exp(-r2 / 2)
    return rng.poisson(stack).astype(np.uint16)


def field(shape: tuple[int, int] = (96, 130)) -> np.ndarray:
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    noise = np.random.default_rng(3).normal(0, 5, shape)
    return (100 + 20000 * np.exp(-(y**2 + x**2) / 8) + noise).astype(np.uint16)


# ---- what is known, and where it is from


def test_psf_of_a_file_takes_voxels_from_it_and_the_rest_from_options(save):
    result = analyse("psf", save(beads(), "ZYX"), options=OIL)
    assert result.n_used == 6
    by_name = {metric.metric: metric for metric in result.metrics}
    assert by_name["fwhm_x"].measured.value == pytest.approx(0.25, rel=0.03)
    assert by_name["fwhm_z"].measured.value == pytest.approx(0.6, rel=0.03)
    assert result.parameters["voxel_z_um_from"] == "file"
    assert result.parameters["numerical_aperture_from"] == "option"
    assert "numerical_aperture = 1.4: option." in result.remarks
    assert "mode = widefield: assumed, because nobody states it." in result.remarks


def test_option_that_contradicts_the_file_is_believed_and_said(save):
    result = analyse("illumination", save(field(), "YX"), options={"voxel_x_um": 0.2, "offset_adu": 100.0})
    assert "The file says voxel_x_um = 0.1; the option was believed." in result.remarks


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        ("numerical_aperture", r"numerical aperture.*does not say\. Give it with --na"),
        ("immersion_index", r"immersion medium.*--immersion"),
        ("emission_nm", r"emission wavelength.*--emission-nm"),
    ],
)
def test_missing_fact_is_asked_for_by_its_option(save, left_out, says):
    known = {name: value for name, value in OIL.items() if name != left_out}
    with pytest.raises(MissingFactError, match=says):
        analyse("psf", save(beads(), "ZYX"), options=known)


def test_unknown_voxel_size_is_asked_for(save):
    path = save(beads(), "ZYX", is_calibrated=False)
    with pytest.raises(MissingFactError, match=r"distance of the planes.*--voxel-um Z,Y,X"):
        analyse("psf", path, options=OIL)
    sizes = {"voxel_z_um": 0.2, "voxel_y_um": 0.1, "voxel_x_um": 0.1}
    assert analyse("psf", path, options={**OIL, **sizes}).n_used == 6


# ---- bad input


@pytest.mark.parametrize(
    ("routine", "data", "axes", "error", "says"),
    [
        ("psf", field(), "YX", StackError, "has the axes YX; there is no z plane"),
        ("illumination", np.stack([field()] * 3), "ZYX", StackError, "3 z planes, but one is wanted: give a file"),
        ("illumination", np.zeros((40, 50), np.uint16), "YX", None, ""),
        ("illumination", np.full((40, 50), np.nan, np.float32), "YX", None, ""),
        ("registration", np.stack([beads()]), "CZYX", StackError, "has one channel; registration wants at least two"),
        ("drift", field(), "YX", StackError, "holds one image; a series along time or position"),
        ("dark_noise", field(), "YX", MeasureError, "frames"),
    ],
    ids=["no z", "z for a plane", "all zero", "all NaN", "one channel", "no series", "one frame"],
)  # fmt: skip
def test_image_that_cannot_be_measured_says_why(save, routine, data, axes, error, says):
    path = save(data, axes)
    options = {**OIL, "interval_s": 1.0}
    if error is not None:
        with pytest.raises(error, match=says):
            analyse(routine, path, options=options)
        return
    try:
        result = analyse(routine, path, options=options)
    except MeasureError as refused:
        assert str(refused).startswith("Field illumination cannot be measured: expected ")
    else:
        assert result.status is not QcStatus.PASS


def test_colour_image_is_refused(tmp_path):
    path = tmp_path / "rgb.tiff"
    tifffile.imwrite(path, np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    with pytest.raises(StackError, match="colour image"):
        analyse("illumination", path)


def test_truncated_file_is_refused(save):
    path = save(beads(), "ZYX")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ScopestampError, match=r"a\.ome\.tiff"):
        analyse("psf", path, options=OIL)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StackError, match="There is no image at"):
        analyse("psf", tmp_path / "nowhere.tif", options=OIL)


@pytest.mark.parametrize(
    "stack",
    [
        np.random.default_rng(2).poisson(100, SHAPE).astype(np.uint16),
        np.zeros(SHAPE, np.uint16),
        np.full(SHAPE, 65535, np.uint16),
        np.full(SHAPE, np.nan, np.float32),
    ],
    ids=["empty slide", "all zero", "saturated", "all NaN"],
)
def test_stack_without_beads_is_no_pass_and_says_so(save, stack):
    try:
        result = analyse("psf", save(stack, "ZYX"), options=OIL)
    except MeasureError as refused:
        assert str(refused).startswith("Point spread function cannot be measured: expected ")
        return
    assert (result.n_used, result.status) == (0, QcStatus.UNKNOWN)
    assert any("bead" in remark for remark in result.remarks)


def test_nan_in_one_corner_does_not_fail_the_run(save):
    stack = beads().astype(np.float32)
    stack[:, :8, :8] = np.nan
    assert analyse("psf", save(stack, "ZYX"), options=OIL).n_used == 6


def test_channel_that_is_not_there_is_named(save):
    path = save(np.stack([beads(), beads(seed=2)]), "CZYX", Channel={"Name": ["DAPI", "FITC"]})
    assert analyse("psf", path, options=OIL, channel="FITC").n_used == 6
    with pytest.raises(StackError, match=r"has no channel 'Cy5'; it has DAPI, FITC"):
        analyse("psf", path, options=OIL, channel="Cy5")
    with pytest.raises(StackError, match=r"2 channels, numbered from 0; there is no channel 7"):
        analyse("psf", path, options=OIL, channel="7")


def test_dark_frames_that_are_missing_are_asked_for(save):
    with pytest.raises(StackError, match="--dark FILE"):
        analyse("photon_transfer", save(np.stack([field()] * 2), "TYX"))


# ---- numbers


def test_table_of_numbers_is_measured(tmp_path):
    path = tmp_path / "power.csv"
    rows = "\n".join(f"{percent},{0.1 * percent + 0.001}" for percent in (0, 25, 50, 75, 100, 75, 50, 25, 0))
    path.write_text(f"setting_percent,power_mw\n{rows}\n")
    result = analyse("power_linearity", path)
    slope = next(metric for metric in result.metrics if metric.metric == "slope")
    assert slope.measured.value == pytest.approx(0.1)
    assert result.status is QcStatus.PASS


def test_image_for_a_routine_of_numbers_is_refused(save):
    with pytest.raises(StackError, match=r"measures numbers: give a table"):
        analyse("power_linearity", save(field(), "YX"))
