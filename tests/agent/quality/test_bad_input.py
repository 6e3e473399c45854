"""Every routine of images with everything that can be wrong with a file: a clear refusal or no verdict, never a crash."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from agent.errors import ScopestampError
from agent.quality.analyse import analyse_files
from agent.quality.assess import routine_named
from agent.quality.options import read_columns
from agent.quality.stacks import StackError
from agent.records import QcStatus
from qc_routines.catalogue import ROUTINES

N = 10
SHAPES = {"YX": (64, 80), "ZYX": (15, 64, 80), "TYX": (N, 64, 80), "CZYX": (2, 15, 64, 80)}
AXES = {
    "psf": "ZYX", "registration": "CZYX", "illumination": "YX", "illumination_change": "YX", "dark_noise": "TYX",
    "photon_transfer": "TYX", "linearity": "TYX", "dark_current": "TYX", "point_detector": "TYX", "uniformity": "TYX", "defects": "TYX",
    "stage": "TYX", "drift": "TYX", "pixel_size": "TYX", "grid": "YX", "line_pairs": "YX", "thin_layer": "ZYX",
    "axial_steps": "ZYX",
}  # fmt: skip
N_FILES = {
    "photon_transfer": 5,
    "linearity": 5,
    "dark_current": 3,
    "point_detector": 2,
    "line_pairs": 3,
    "axial_steps": 2,
}
WITH_DARK = ("photon_transfer", "linearity", "uniformity")
DARK_ITSELF = ("dark_noise", "dark_current", "defects")
"""For these, frames without anything on them are what they should be."""
NEEDS_VOXELS = ("psf", "registration", "stage", "drift", "line_pairs", "thin_layer", "axial_steps")
OIL: dict[str, Any] = {"numerical_aperture": 1.4, "immersion_index": 1.518, "emission_nm": (460.0, 520.0)}
PLACES = [(0.0, 5.0 * (k % 2)) for k in range(N)]
OPTIONS: dict[str, dict[str, Any]] = {
    "drift": {"interval_s": 60.0},
    "stage": {"stage_yx_um": PLACES},
    "pixel_size": {"stage_yx_um": [(5.0 * (k % 3), 5.0 * (k // 3)) for k in range(N)]},
    "grid": {"pitch_um": 5.0},
    "line_pairs": {"spacing_um": (0.2, 0.3, 0.4)},
    "axial_steps": {"stair_um": 1.0, "pitch_um": 1.5},
    "dark_current": {"conversion_e_per_adu": 0.5, "exposures_ms": [10, 100, 1000]},
    "point_detector": {"settings": [500, 600]},
    "linearity": {"exposures_ms": [10, 20, 30, 40, 50]},
    "illumination": {"offset_adu": 100.0},
}


def nothing(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).poisson(100, shape).astype(np.uint16)


def half_nan(shape: tuple[int, ...]) -> np.ndarray:
    frames = nothing(shape).astype(np.float32)
    frames[..., : shape[-1] // 2] = np.nan
    return frames


BAD: dict[str, Any] = {
    "all NaN": lambda shape: np.full(shape, np.nan, np.float32),
    "half NaN": half_nan,
    "all zero": lambda shape: np.zeros(shape, np.uint16),
    "saturated": lambda shape: np.full(shape, 65_535, np.uint16),
    "float noise": lambda shape: np.random.default_rng(1).normal(100, 5, shape).astype(np.float32),
    "signed": lambda shape: nothing(shape).astype(np.int16),
    "yes or no": lambda shape: nothing(shape) > 100,
    "one pixel": lambda shape: np.full((*shape[:-2], 1, 1), 100, np.uint16),
    "swapped axes": lambda shape: np.moveaxis(nothing(shape), -1, 0),
    "nothing visible": nothing,
}
FINE_IN_THE_DARK = ("float noise", "nothing visible", "swapped axes")


def written(folder: Path, data: np.ndarray, axes: str, is_calibrated: bool = True, name: str = "a") -> Path:
    path = folder / f"{name}.ome.tiff"
    sizes = {f"PhysicalSize{axis}": um for axis, um in zip("ZYX", (0.2, 0.1, 0.1), strict=True)}
    tifffile.imwrite(path, data, ome=True, metadata={"axes": axes, **(sizes if is_calibrated else {})})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with dark frames and a field at time zero in it."""
    folder = tmp_path_factory.mktemp("bad")
    rng, (y, x) = np.random.default_rng(2), np.ogrid[-1:1:64j, -1:1:80j]
    written(folder, rng.normal(100, 2, SHAPES["TYX"]).round().astype(np.uint16), "TYX", name="dark")
    field = 100 + 20_000 * np.exp(-(y**2 + x**2) / 8) + rng.normal(0, 5, SHAPES["YX"])
    written(folder, field.astype(np.uint16), "YX", name="zero")
    return folder


def outcome(routine: str, folder: Path, file: Path, **more: Any) -> str:
    """Return the message of the refusal, or what the result says; it is no pass."""
    options = {**OIL, **OPTIONS.get(routine, {}), "reference_image": str(folder / "zero.ome.tiff")}
    dark = {"dark": folder / "dark.ome.tiff"} if routine in WITH_DARK else {}
    files = [file] * N_FILES.get(routine, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = analyse_files(routine_named(routine), files, options, **dark, **more)
        except ScopestampError as error:
            return readable(str(error))
    assert result.status is not QcStatus.PASS
    return " ".join((*result.remarks, *result.n_rejected))


def readable(message: str) -> str:
    """Return a message that a technician can read: whole sentences, no Python in it."""
    assert message.endswith((".", "?")) and not message.endswith("..")
    assert not re.search(r"\{'|Error\(|Traceback|<tifffile|None|nan to nan", message)
    return message


def test_table_has_every_routine_of_images() -> None:
    of_numbers = {"power_linearity", "power_stability", "sample_power", "autofocus"}
    assert set(AXES) == set(ROUTINES) - of_numbers


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("routine", AXES)
def test_pixels_that_cannot_be_measured(folder: Path, routine: str, kind: str) -> None:
    if routine in DARK_ITSELF and kind in FINE_IN_THE_DARK:
        pytest.skip("a dark frame is just that")
    path = written(folder, BAD[kind](SHAPES[AXES[routine]]), AXES[routine])
    assert outcome(routine, folder, path)


@pytest.mark.parametrize("routine", AXES)
def test_file_of_other_axes(folder: Path, routine: str) -> None:
    if AXES[routine] == "YX":
        said = outcome(routine, folder, written(folder, nothing((3, 64, 80)), "ZYX"))
        assert re.search(r"has 3 z planes, but one is wanted", said)
        return
    assert re.search(
        r"no z plane|one channel|one image|usable|dark level",
        outcome(routine, folder, written(folder, nothing((64, 80)), "YX")),
    )
    assert re.search(
        r"has \d+ (times|z planes)|one channel",
        outcome(routine, folder, written(folder, nothing((3, 15, 64, 80)), "TZYX")),
    )


@pytest.mark.parametrize("routine", [name for name in AXES if "Z" in AXES[name]])
def test_stack_that_is_too_short(folder: Path, routine: str) -> None:
    shape = (*SHAPES[AXES[routine]][:-3], 2, 64, 80)
    assert outcome(routine, folder, written(folder, nothing(shape), AXES[routine]))


@pytest.mark.parametrize("routine", AXES)
def test_colours(folder: Path, routine: str) -> None:
    path = folder / "rgb.tiff"
    tifffile.imwrite(path, np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    assert "is a colour image (RGB)" in outcome(routine, folder, path)


@pytest.mark.parametrize("routine", AXES)
def test_channel_that_is_not_there(folder: Path, routine: str) -> None:
    path = written(folder, nothing(SHAPES[AXES[routine]]), AXES[routine])
    assert "there is no channel 7" in outcome(routine, folder, path, channel="7")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.98])
@pytest.mark.parametrize("routine", AXES)
def test_file_that_was_cut_off_is_never_measured_as_far_as_it_goes(
    folder: Path, capfd: pytest.CaptureFixture[str], routine: str, share: float
) -> None:
    path = written(folder, nothing(SHAPES[AXES[routine]]), AXES[routine])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert re.search(r"is not complete|Is it complete\?", outcome(routine, folder, path))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("routine", NEEDS_VOXELS)
def test_unknown_voxel_size_is_asked_for(folder: Path, routine: str) -> None:
    path = written(folder, nothing(SHAPES[AXES[routine]]), AXES[routine], is_calibrated=False)
    assert re.search(
        r"Needed is the (distance of the planes|pixel size).*--voxel-um", outcome(routine, folder, path)
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.tiff", b"", "cannot be read as an image"),
        ("words.tif", b"hello", "not a TIFF file"),
        ("stack.czi", b"ZISRAWFILE", "of a kind that is not read; read are OME-Zarr, OME-TIFF and TIFF"),
        ("picture.png", b"\x89PNG", "of a kind that is not read"),
    ],
)
def test_file_that_is_no_image_we_read(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StackError, match=says):
        analyse_files(routine_named("illumination"), [path], {})


# ---- tables

POWER = "setting_percent,power_mw\n" + "\n".join(f"{p},{p / 10}" for p in range(0, 101, 10))


@pytest.mark.parametrize(
    ("routine", "text", "says"),
    [
        ("power_linearity", POWER.replace("power_mw", "power"), r"no column power_mw; it has setting_percent, power\."),
        ("power_linearity", POWER.replace("\n", ",1\n").replace("mw,1", "mw,hours"), "row 11 has 2 cells, and the heading has 3"),
        ("power_linearity", POWER.replace("50,5.0", "50,about 5"), "has 'about 5' in row 6 of power_mw"),
        ("power_stability", POWER.replace("setting_percent", "time_s").replace("power_mw", "mw"), "no column power_mw"),
        ("sample_power", "power_mw,operator\n1,2\n", "column 'operator' that means nothing here"),
        ("autofocus", "recovered_um\n1\n2\n", "no column defocus_um"),
        ("axial_steps", "a,b\n1,2\n", "no column commanded_um and no measured_um"),
        ("linearity", "light\n1\n", "no column signal_adu"),
        ("psf", "a,b\n1,2\n", "is measured on images; a table of numbers was given"),
        ("power_linearity", "", "is no table: wanted is a heading"),
    ],
)  # fmt: skip
def test_table_that_does_not_hold_what_is_measured(
    tmp_path: Path, routine: str, text: str, says: str
) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(text)
    with pytest.raises(ScopestampError, match=says) as refused:
        analyse_files(routine_named(routine), [path], {})
    readable(str(refused.value))


def test_cell_that_is_empty_is_a_reading_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(POWER.replace("50,5.0", "50,"))
    result = analyse_files(routine_named("power_linearity"), [path], {})
    assert (result.n_used, dict(result.n_rejected)) == (10, {"not a number": 1})


@pytest.mark.parametrize("sign", [";", "\t"])
def test_table_as_spreadsheets_write_it_where_commas_are_decimal(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(POWER.replace(",", sign).replace(".", ","), "utf-8-sig")
    assert read_columns(path)["power_mw"] == [p / 10 for p in range(0, 101, 10)]
