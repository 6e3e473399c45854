"""Datasets of the real writers, enriched in place: pixels stay, a kill costs nothing, bad files are left alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile
import yaozarrs
from ome_writers import AcquisitionSettings, Dimension, create_stream
from yaozarrs import v04
from zarr import open_array, open_group

from agent.exports import Bundle, EnrichError, view_of
from agent.exports import enrich as enrich_module
from agent.exports.enrich import enrich_dataset, enrich_ome_tiff
from agent.exports.view import AcquisitionView

SHAPE = (2, 2, 11, 64, 64)


def write(path: Path, file_format: str) -> Path:
    """Have ome-writers write two positions of two channels and eleven planes."""
    settings = AcquisitionSettings(
        root_path=str(path),
        dimensions=[
            {"name": "p", "type": "position", "coords": ["A1", "A2"]},
            Dimension(name="c", count=2, type="channel"),
            Dimension(name="z", count=11, type="space", scale=1.0, unit="micrometer"),
            Dimension(name="y", count=64, chunk_size=64, type="space"),
            Dimension(name="x", count=64, chunk_size=64, type="space"),
        ],
        dtype="uint16",
        format=file_format,
        overwrite=True,
    )
    pixels = np.random.default_rng(1).integers(0, 4000, SHAPE, dtype=np.uint16)
    with create_stream(settings) as stream:
        for frame in pixels.reshape(-1, 64, 64):
            stream.append(frame)
    return path


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    write(tmp_path / "run.ome.tiff", "ome-tiff")
    return next(path for path in sorted(tmp_path.rglob("*")) if path.name.endswith("p000.ome.tiff"))


@pytest.fixture
def zarr(tmp_path: Path) -> Path:
    return write(tmp_path / "run.ome.zarr", "ome-zarr")


def pixels_of(path: Path) -> str:
    with tifffile.TiffFile(path) as file:
        return hashlib.sha256(b"".join(page.asarray().tobytes() for page in file.pages)).hexdigest()


def test_tiff_gets_everything_and_keeps_its_pixels(tiff: Path, view: AcquisitionView) -> None:
    before = pixels_of(tiff)
    assert enrich_dataset(tiff, view) == [tiff]
    comment = tifffile.tiffcomment(tiff)
    ome_types.validate_xml(comment)
    document = ome_types.from_xml(comment)
    assert len(document.instruments[0].objectives) == 3
    assert document.images[0].pixels.channels[1].name == "FITC"
    assert document.images[0].pixels.tiff_data_blocks
    assert pixels_of(tiff) == before
    assert tifffile.imread(tiff).shape == (2, 11, 64, 64)


def test_folder_of_tiffs_is_enriched_and_the_second_call_finds_nothing_to_do(
    tiff: Path, view: AcquisitionView
) -> None:
    changed = enrich_dataset(tiff.parent, view)
    assert len(changed) == 2
    sizes = [path.stat().st_size for path in changed]
    assert enrich_dataset(tiff.parent, view) == []
    assert [path.stat().st_size for path in changed] == sizes


def test_other_metadata_replaces_ours_and_not_the_writers(
    tiff: Path, view: AcquisitionView, empty_view: AcquisitionView
) -> None:
    writers = ome_types.from_xml(tifffile.tiffcomment(tiff)).uuid
    enrich_dataset(tiff, view)
    enrich_dataset(tiff, empty_view)
    document = ome_types.from_xml(tifffile.tiffcomment(tiff))
    assert document.uuid == writers and not document.instruments[0].objectives
    enrich_dataset(tiff, view)
    ids = [
        item.id
        for item in ome_types.from_xml(tifffile.tiffcomment(tiff)).structured_annotations.map_annotations
    ]  # type: ignore[union-attr]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("big", [False, True], ids=["classic", "bigtiff"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_layout_of_tiff_can_be_enriched(
    tmp_path: Path, empty_view: AcquisitionView, big: bool, order: str
) -> None:
    path = tmp_path / "x_p000.ome.tiff"
    data = np.arange(22 * 64, dtype=np.uint16).reshape(2, 11, 8, 8)
    tifffile.imwrite(path, data, bigtiff=big, byteorder=order, ome=True, metadata={"axes": "CZYX"})
    before = pixels_of(path)
    assert enrich_ome_tiff(path, empty_view)
    ome_types.validate_xml(tifffile.tiffcomment(path))
    assert pixels_of(path) == before


@pytest.mark.parametrize("fraction", [0.0, 0.00001, 0.5, 0.99])
def test_truncated_tiff_is_refused_and_left_as_it_is(
    tiff: Path, view: AcquisitionView, fraction: float
) -> None:
    whole = tiff.read_bytes()
    tiff.write_bytes(whole[: int(len(whole) * fraction)])
    cut = tiff.read_bytes()
    with pytest.raises(EnrichError, match="expected a whole OME-TIFF"):
        enrich_ome_tiff(tiff, view)
    assert tiff.read_bytes() == cut


def test_tiff_of_another_program_with_an_instrument_is_refused(tiff: Path, view: AcquisitionView) -> None:
    document = ome_types.from_xml(tifffile.tiffcomment(tiff))
    document.instruments = [ome_types.model.Instrument(id="Instrument:7")]
    tifffile.tiffcomment(tiff, ome_types.to_xml(document).encode())
    before = tiff.read_bytes()
    with pytest.raises(EnrichError, match=r"Instrument:7 of another program"):
        enrich_ome_tiff(tiff, view)
    assert tiff.read_bytes() == before


def test_tiff_with_other_images_is_refused(tmp_path: Path, view: AcquisitionView) -> None:
    path = tmp_path / "other.ome.tiff"
    tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint16), ome=True)
    with pytest.raises(EnrichError, match="expected 2 images"):
        enrich_ome_tiff(path, view)


def test_tiff_that_is_still_being_written_is_refused(tiff: Path, view: AcquisitionView) -> None:
    with tiff.open("r+b"), pytest.raises(EnrichError, match="open for writing"):
        enrich_ome_tiff(tiff, view)


def test_zarr_that_is_still_being_written_is_refused(zarr: Path, view: AcquisitionView) -> None:
    chunk = next(file for file in zarr.rglob("c/**/*") if file.is_file())
    with chunk.open("r+b"), pytest.raises(EnrichError, match="open for writing"):
        enrich_dataset(zarr, view)


class Killed(BaseException):
    """The process ends here."""


def test_kill_before_the_entry_is_written_leaves_the_old_comment(
    tiff: Path, view: AcquisitionView, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, pixels = tifffile.tiffcomment(tiff), pixels_of(tiff)

    def kill(descriptor: int) -> None:
        raise Killed

    monkeypatch.setattr(enrich_module.os, "fsync", kill)
    with pytest.raises(Killed):
        enrich_ome_tiff(tiff, view)
    monkeypatch.undo()
    assert tifffile.tiffcomment(tiff) == old and pixels_of(tiff) == pixels
    assert enrich_ome_tiff(tiff, view) is True
    assert pixels_of(tiff) == pixels


# -- Zarr


def chunks(path: Path) -> dict[str, str]:
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("c/**/*")
        if file.is_file()
    }


def test_zarr_gets_key_and_metadata_and_keeps_its_chunks(zarr: Path, view: AcquisitionView) -> None:
    before = chunks(zarr)
    assert before
    assert enrich_dataset(zarr, view) == [zarr / "OME" / "METADATA.ome.xml", zarr / "zarr.json"]
    xml = (zarr / "OME" / "METADATA.ome.xml").read_bytes()
    ome_types.validate_xml(xml)
    document = ome_types.from_xml(xml)
    assert all(image.pixels.metadata_only and not image.pixels.tiff_data_blocks for image in document.images)
    ours = json.loads((zarr / "zarr.json").read_bytes())["attributes"]["scopestamp"]
    assert ours["imaging_methods"][0]["id"] == "FBbi_00000246"
    assert ours["metadata"]["objective.na"] == "0.6 [profile]"
    yaozarrs.validate_zarr_store(str(zarr))
    assert chunks(zarr) == before
    assert enrich_dataset(zarr, view) == []


def test_zarr_images_are_in_the_order_of_the_series(zarr: Path, view: AcquisitionView) -> None:
    document = zarr / "OME" / "zarr.json"
    group = json.loads(document.read_bytes())
    group["attributes"]["ome"]["series"] = ["A2", "A1"]
    document.write_text(json.dumps(group), encoding="utf-8")
    enrich_dataset(zarr, view)
    images = ome_types.from_xml((zarr / "OME" / "METADATA.ome.xml").read_bytes()).images
    assert [image.stage_label.name for image in images if image.stage_label] == ["A2", "A1"]


def write_0_4(path: Path) -> Path:
    """Have zarr-python write two positions as NGFF 0.4 (Zarr format 2), laid out as bioformats2raw does."""
    root = open_group(path, mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    root.create_group("OME").attrs["series"] = ["A1", "A2"]
    axes = [
        ("c", "channel", None),
        ("z", "space", "micrometer"),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    image = v04.Image(
        multiscales=[
            {
                "axes": [{"name": n, "type": t} | ({"unit": u} if u else {}) for n, t, u in axes],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 0.25, 0.25]}],
                    }
                ],
            }
        ],
        omero={
            "channels": [
                {"label": name, "color": "FFFFFF", "window": {"min": 0, "max": 4000, "start": 0, "end": 4000}}
                for name in ("DAPI", "FITC")
            ]
        },
    )
    pixels = np.random.default_rng(1).integers(0, 4000, SHAPE, dtype=np.uint16)
    for name, stack in zip(("A1", "A2"), pixels, strict=True):
        group = root.create_group(name)
        group.attrs.update(image.model_dump(mode="json", exclude_unset=True))
        array = group.create_array(
            "0", shape=stack.shape, chunks=(1, 1, 64, 64), dtype="uint16",
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )  # fmt: skip
        array[:] = stack
    return path


def test_zarr_of_ngff_0_4_gets_key_and_metadata_and_keeps_its_chunks(
    tmp_path: Path, view: AcquisitionView
) -> None:
    path = write_0_4(tmp_path / "old.ome.zarr")
    pixels = [open_array(path / name / "0", mode="r")[:] for name in ("A1", "A2")]
    attributes = dict(open_group(path, mode="r").attrs)
    assert enrich_dataset(path, view) == [path / "OME" / "METADATA.ome.xml", path / ".zattrs"]
    after = dict(open_group(path, mode="r").attrs)
    assert after.pop("scopestamp")["record_id"] == str(view.bundle.finished.record_id)
    assert after == attributes
    for name, before in zip(("A1", "A2"), pixels, strict=True):
        yaozarrs.validate_zarr_store(str(path / name))
        np.testing.assert_array_equal(open_array(path / name / "0", mode="r")[:], before)
    images = ome_types.from_xml((path / "OME" / "METADATA.ome.xml").read_bytes()).images
    assert [image.stage_label.name for image in images if image.stage_label] == ["A1", "A2"]
    assert enrich_dataset(path, view) == []


def test_zarr_stamp_of_the_capture_stays(zarr: Path, view: AcquisitionView) -> None:
    document = zarr / "zarr.json"
    group = json.loads(document.read_bytes())
    group["attributes"]["scopestamp"] = {"sidecar": "run.ome.zarr.scopestamp.json"}
    document.write_text(json.dumps(group), encoding="utf-8")
    enrich_dataset(zarr, view)
    assert json.loads(document.read_bytes())["attributes"]["scopestamp"]["sidecar"]


def test_kill_between_the_two_files_is_finished_by_the_next_call(
    zarr: Path, view: AcquisitionView, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = enrich_module.replace_file

    def kill(path: Path, data: bytes) -> None:
        if path.name == "zarr.json":
            raise Killed
        replace_file(path, data)

    monkeypatch.setattr(enrich_module, "replace_file", kill)
    with pytest.raises(Killed):
        enrich_dataset(zarr, view)
    monkeypatch.undo()
    assert enrich_dataset(zarr, view) == [zarr / "zarr.json"]


@contextmanager
def no_writing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read-only media, for a test that root runs too: opening for writing fails as it does there."""
    opened: Callable[..., Any] = Path.open

    def refuse(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wa+x"):
            raise OSError(30, "Read-only file system", str(self))
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    yield
    monkeypatch.undo()


def test_read_only_zarr_is_refused_with_advice(
    zarr: Path, view: AcquisitionView, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (zarr / "zarr.json").read_bytes()
    with no_writing(monkeypatch), pytest.raises(EnrichError, match=r"read-only media\?.*'ome-xml'"):
        enrich_dataset(zarr, view)
    assert (zarr / "zarr.json").read_bytes() == before
    assert not list(zarr.rglob("*.half"))


def test_zarr_in_a_folder_without_permission_is_refused(
    public_folder: Path, as_nobody: Callable[[], Any], view: AcquisitionView
) -> None:
    path = write(public_folder / "run.ome.zarr", "ome-zarr")
    enrich_dataset(
        write(public_folder / "other.ome.zarr", "ome-zarr"), view
    )  # imports what it needs as ourselves
    before = (path / "zarr.json").read_bytes()
    path.chmod(0o555)
    (path / "OME").chmod(0o555)
    with as_nobody():
        assert (path / "zarr.json").read_bytes() == before
        with pytest.raises(EnrichError, match="cannot be changed"):
            enrich_dataset(path, view)
    path.chmod(0o755)
    assert (path / "zarr.json").read_bytes() == before
    assert not list(path.rglob("*.half"))


def test_zarr_with_broken_attributes_is_refused(zarr: Path, view: AcquisitionView) -> None:
    (zarr / "zarr.json").write_text("{", encoding="utf-8")
    with pytest.raises(EnrichError, match="attributes of a Zarr group"):
        enrich_dataset(zarr, view)


def test_what_is_no_dataset_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(EnrichError, match="came none"):
        enrich_dataset(tmp_path / "nothing", view_of(bundle))
