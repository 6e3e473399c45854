"""Datasets stamped beside and inside, as the standards' own tools read them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from useq import MDASequence

from agent.capture.stamp import (
    ATTRIBUTE_KEY,
    STAMP_NAMESPACE,
    describe_output,
    ledger_path,
    replace_file,
    sidecar_path,
    stamp_dataset,
)
from agent.errors import CaptureError
from agent.records import AcquisitionFinished, DatasetStamp, decode, encode, sha256_of

ROOT = Path(__file__).parents[3]
PLAN = MDASequence(
    channels=["DAPI", "FITC"], z_plan={"range": 2, "step": 1}, time_plan={"interval": 0, "loops": 2}
)
POSITIONS = PLAN.replace(stage_positions=[(0, 0, 0), (50, 50, 0)])


@pytest.fixture
def acquire(core: Any, make_capture: Callable[..., Any], shelf: Any) -> Callable[..., AcquisitionFinished]:
    def acquire(output: Path, sequence: MDASequence = PLAN, **options: Any) -> AcquisitionFinished:
        capture = make_capture(core, **options)
        core.setROI(0, 0, 64, 64)
        core.mda.run(sequence, output=output)
        assert capture.settle(30)
        return shelf.one(AcquisitionFinished)

    return acquire


@pytest.fixture
def written(core: Any, make_capture: Any) -> Callable[..., Any]:
    """Write a dataset without an agent, and return the frames that went into it."""

    def write(output: Path, sequence: MDASequence) -> list[Any]:
        frames: list[Any] = []
        core.setROI(0, 0, 64, 64)

        def keep(image: Any) -> None:
            frames.append(image.copy())

        core.mda.events.frameReady.connect(keep)
        core.mda.run(sequence, output=output)
        core.mda.events.frameReady.disconnect(keep)
        return frames

    return write


def check_beside(shelf: Any, record: AcquisitionFinished, output: Path) -> None:
    (stamped,) = shelf.one(DatasetStamp).files
    assert (stamped.path, stamped.sidecar, stamped.error) == (str(output), str(sidecar_path(output)), None)
    beside = sidecar_path(output).read_bytes()
    assert beside == encode(record) and decode(beside) == record
    assert (
        hashlib.sha256(beside).hexdigest()
        == sha256_of(record)
        == shelf.one(DatasetStamp).stamped_record_sha256
    )
    ledger = ledger_path(output).read_bytes()
    assert hashlib.sha256(ledger).hexdigest() == record.ledger_sha256
    lines = [json.loads(line) for line in ledger.splitlines()]
    assert sum(isinstance(line, list) for line in lines) == record.frames.seen


def check_hashes(shelf: Any, record: AcquisitionFinished, output: Path) -> None:
    (file,), (stamped,) = record.files, shelf.one(DatasetStamp).files
    now = describe_output(output)
    assert (stamped.sha256, stamped.size_bytes) == (now.sha256, now.size_bytes)
    assert file.sha256 != now.sha256 and file.n_files == now.n_files


def test_zarr_is_stamped_beside_and_inside(acquire: Any, shelf: Any, tmp_path: Path) -> None:
    import zarr

    output = tmp_path / "run 1.ome.zarr"
    record = acquire(output)
    check_beside(shelf, record, output)
    check_hashes(shelf, record, output)
    assert record.files[0].format == "ome-zarr"
    inside = zarr.open_group(output, mode="r").attrs[ATTRIBUTE_KEY]
    assert inside["record_id"] == str(record.record_id)
    assert inside["record_sha256"] == hashlib.sha256(sidecar_path(output).read_bytes()).hexdigest()
    assert inside["acquisition_id"] == str(record.acquisition_id)
    assert (output.parent / inside["sidecar"]).is_file()


@pytest.mark.parametrize("sequence", [PLAN, POSITIONS], ids=["one position", "two positions"])
def test_stamped_zarr_is_valid_and_its_pixels_untouched(
    written: Any, acquire: Any, mint: Any, tmp_path: Path, sequence: MDASequence
) -> None:
    import zarr

    yaozarrs = pytest.importorskip("yaozarrs", reason="checks OME-Zarr: pip install yaozarrs")
    output = tmp_path / "a.ome.zarr"
    frames = written(output, sequence)
    chunks = {
        path: path.read_bytes() for path in output.rglob("*") if path.is_file() and path.name != "zarr.json"
    }
    record = acquire(tmp_path / "b.ome.zarr", sequence)
    stamped = stamp_dataset(record, output, None)
    assert stamped.is_stamped_inside and stamped.error is None
    yaozarrs.validate_zarr_store(str(output))
    yaozarrs.validate_zarr_store(str(tmp_path / "b.ome.zarr"))
    assert {path: path.read_bytes() for path in chunks} == chunks
    arrays = [
        node
        for _, node in zarr.open_group(output, mode="r").members(max_depth=None)
        if hasattr(node, "dtype")
    ]
    pixels = np.concatenate([np.asarray(array).reshape(-1, 64, 64) for array in arrays])
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, frames))


def folder_of(output: Path) -> Path:
    """Return where several files go: ome-writers makes a folder without the suffix."""
    return output.with_name(output.name.removesuffix(".ome.tiff"))


def xml_of(path: Path) -> str:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        return tiff.ome_metadata


def check_inside_tiff(path: Path, record: AcquisitionFinished) -> None:
    import ome_types

    ome = ome_types.from_xml(xml_of(path))
    ours = [item for item in ome.structured_annotations.map_annotations if item.namespace == STAMP_NAMESPACE]
    assert len(ours) == 1
    value = dict(ours[0].value)
    assert value["record_id"] == str(record.record_id)
    assert value["record_sha256"] == sha256_of(record)
    assert all(ours[0].id in [ref.id for ref in image.annotation_refs] for image in ome.images)


def test_single_tiff_is_stamped_beside_and_inside(acquire: Any, shelf: Any, tmp_path: Path) -> None:
    output = tmp_path / "run.ome.tiff"
    record = acquire(output)
    check_beside(shelf, record, output)
    check_hashes(shelf, record, output)
    assert (record.files[0].format, record.files[0].n_files) == ("ome-tiff", 1)
    check_inside_tiff(output, record)


def test_folder_of_tiffs_is_stamped_in_every_file(acquire: Any, shelf: Any, tmp_path: Path) -> None:
    output = tmp_path / "run.ome.tiff"
    record = acquire(output, POSITIONS)
    output = folder_of(output)
    check_beside(shelf, record, output)
    check_hashes(shelf, record, output)
    files = sorted(output.glob("*.ome.tiff"))
    assert len(files) == 2 and record.files[0].n_files == 2
    for file in files:
        check_inside_tiff(file, record)


@pytest.mark.parametrize("sequence", [PLAN, POSITIONS], ids=["one file", "a folder"])
def test_stamped_tiff_keeps_its_pixels_and_its_metadata(
    written: Any, acquire: Any, tmp_path: Path, sequence: MDASequence
) -> None:
    import ome_types
    import tifffile

    output = tmp_path / "a.ome.tiff"
    frames = written(output, sequence)
    output = output if output.is_file() else folder_of(output)
    files = sorted(output.glob("*.ome.tiff")) or [output]
    before = [ome_types.from_xml(xml_of(file)) for file in files]
    record = acquire(tmp_path / "b.ome.tiff")
    for _ in range(2):  # stamping again replaces the stamp
        stamped = stamp_dataset(record, output, None)
        assert stamped.is_stamped_inside and stamped.error is None
    pixels = []
    for file, ome in zip(files, before, strict=True):
        check_inside_tiff(file, record)
        with tifffile.TiffFile(file) as tiff:
            pixels += [page.asarray() for page in tiff.pages]
        after = ome_types.from_xml(xml_of(file))
        assert [image.pixels for image in after.images] == [image.pixels for image in ome.images]
        kept = [
            item for item in after.structured_annotations if getattr(item, "namespace", "") != STAMP_NAMESPACE
        ]
        assert kept == list(ome.structured_annotations or ())
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, frames))


def ome_schema() -> Path:
    folder = Path(os.environ.get("SCOPESTAMP_STANDARDS", ROOT.parent / "shared" / "standards"))
    path = folder / "ome" / "ome-2016-06.xsd"
    if not path.is_file():
        pytest.skip("needs ome-2016-06.xsd: name the folder of the standards in SCOPESTAMP_STANDARDS")
    return path


@pytest.mark.parametrize("sequence", [PLAN, POSITIONS], ids=["one file", "a folder"])
def test_stamped_tiff_is_valid_by_the_schema(acquire: Any, tmp_path: Path, sequence: MDASequence) -> None:
    schema = ome_schema()
    xmlschema = pytest.importorskip("xmlschema", reason="checks OME-XML: pip install xmlschema")
    output = tmp_path / "a.ome.tiff"
    acquire(output, sequence)
    files = [output] if output.is_file() else sorted(folder_of(output).glob("*.ome.tiff"))
    assert len(files) == (2 if sequence is POSITIONS else 1)
    for file in files:
        assert STAMP_NAMESPACE in xml_of(file)
        xmlschema.XMLSchema(str(schema)).validate(xml_of(file))


def test_power_cut_while_a_tiff_is_stamped_leaves_the_old_comment_or_the_new(
    written: Any, acquire: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.ome.tiff"
    written(path, PLAN)  # before there is an agent, which would stamp it too
    before, comment = path.read_bytes(), xml_of(path)
    record = acquire(tmp_path / "other.ome.zarr")
    stamped = stamp_dataset(record, path, None, beside=False)
    assert stamped.is_stamped_inside
    after, new_comment = path.read_bytes(), xml_of(path)
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
    assert max(changed) - min(changed) < 16  # one entry of the directory, written in one go
    for length in (len(before) + 1, (len(before) + len(after)) // 2, len(after)):
        path.write_bytes(before + after[len(before) : length])
        assert xml_of(path) == comment
    path.write_bytes(after)
    assert xml_of(path) == new_comment and STAMP_NAMESPACE in new_comment


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let no page be written until the event is set; the writer is not waited for as long as the 5 s that it gets."""
    from ome_writers._backends._tifffile import WriterThread

    is_fast, write, join = threading.Event(), tifffile.TiffWriter.write, threading.Thread.join

    def slowly(self: Any, *args: Any, **options: Any) -> Any:
        assert is_fast.wait(60)
        return write(self, *args, **options)

    monkeypatch.setattr(tifffile.TiffWriter, "write", slowly)
    monkeypatch.setattr(WriterThread, "join", lambda self, timeout=None: join(self, timeout and timeout / 50))
    yield is_fast
    is_fast.set()
    for thread in threading.enumerate():
        if isinstance(thread, WriterThread):
            join(thread, 30)


def test_writer_that_is_behind_is_waited_for(
    core: Any, make_capture: Any, shelf: Any, tmp_path: Path, slow_disk: threading.Event
) -> None:
    capture, path = make_capture(core), tmp_path / "a.ome.tiff"
    core.setROI(0, 0, 64, 64)
    core.mda.run(PLAN, output=path)
    assert not capture.settle(0.5), "what is not written cannot be stamped"
    slow_disk.set()
    assert capture.settle(60)
    assert shelf.one(AcquisitionFinished).problems == ()
    assert shelf.one(DatasetStamp).files[0].is_stamped_inside and STAMP_NAMESPACE in xml_of(path)
    assert tifffile.imread(path).shape == (2, 2, 3, 64, 64)


def test_data_of_a_writer_that_does_not_end_are_left_alone(
    core: Any,
    make_capture: Any,
    shelf: Any,
    tmp_path: Path,
    slow_disk: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.capture.close.WRITTEN_WITHIN_S", 0.1)
    capture, path = make_capture(core), tmp_path / "a.ome.tiff"
    core.setROI(0, 0, 64, 64)
    core.mda.run(PLAN, output=path)
    assert capture.settle(60)
    record = shelf.one(AcquisitionFinished)
    assert record.files == () and "still being written" in record.problems[0]
    (stamped,) = shelf.one(DatasetStamp).files
    assert not stamped.is_stamped_inside and sidecar_path(path).is_file()


@pytest.mark.parametrize("name", ["Zellen µm – 細胞 1.ome.zarr", "Zellen µm – 細胞 1.ome.tiff"])
def test_names_in_any_script_are_stamped(
    acquire: Any, shelf: Any, core: Any, tmp_path: Path, name: str
) -> None:
    core.defineStateLabel("Dichroic", 0, "495 nm – Würfel Ä")
    core.defineConfig("Channel", "DAPI", "Dichroic", "Label", "495 nm – Würfel Ä")
    output = tmp_path / "Ordner ß" / name
    output.parent.mkdir()
    record = acquire(output)
    check_beside(shelf, record, output)
    assert shelf.one(DatasetStamp).files[0].is_stamped_inside
    assert record.plan.channels[0].settings["Dichroic-Label"] == "495 nm – Würfel Ä"
    assert "Würfel Ä" in ledger_path(output).read_text("utf-8") + sidecar_path(output).read_text("utf-8")


@pytest.mark.parametrize("suffix", ["zarr", "tiff"])
def test_stamp_can_be_left_away(acquire: Any, shelf: Any, tmp_path: Path, suffix: str) -> None:
    from agent.capture.close import Stamping

    output = tmp_path / f"a.ome.{suffix}"
    record = acquire(output, stamping=Stamping(beside=False, inside=False, hash_files=False))
    (stamped,) = shelf.one(DatasetStamp).files
    assert (stamped.sidecar, stamped.is_stamped_inside, stamped.error) == (None, False, None)
    assert record.files == ()
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == [output.name]


def test_folder_that_cannot_be_written_is_in_the_stamp(
    acquire: Any, shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("agent.capture.stamp.replace_file", refuse)  # root writes into read-only folders
    record = acquire(tmp_path / "a.ome.zarr")
    (stamped,) = shelf.one(DatasetStamp).files
    assert stamped.sidecar is None and not stamped.is_stamped_inside
    assert "beside the data: Permission denied" in stamped.error and "inside" in stamped.error
    assert stamped.sha256 == record.files[0].sha256
    assert record.frames.seen == 12


def test_read_only_folder_is_in_the_stamp(
    acquire: Any, public_folder: Path, as_nobody: Callable[[], Any]
) -> None:
    output = public_folder / "a.ome.zarr"
    record = acquire(output)
    public_folder.chmod(0o555)
    output.chmod(0o555)
    with as_nobody():
        stamped = stamp_dataset(record, output, None)
    assert stamped.sidecar is None and not stamped.is_stamped_inside
    assert "beside the data: Permission denied" in stamped.error and "inside: " in stamped.error


def test_dataset_that_vanished_is_in_the_record(
    core: Any, make_capture: Any, shelf: Any, tmp_path: Path
) -> None:
    import shutil

    output = tmp_path / "a.ome.zarr"
    capture = make_capture(core)
    core.mda.events.sequenceFinished.connect(lambda sequence: shutil.rmtree(output), priority=1000)
    core.mda.run(PLAN, output=output)
    assert capture.settle(20)
    record = shelf.one(AcquisitionFinished)
    assert record.files == () and "cannot be read" in record.problems[0]
    assert "cannot be read" in shelf.one(DatasetStamp).files[0].error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ome.tiff", b""),
        ("a.ome.tiff", b"II*\0garbage"),
        ("a.ome.tiff", "not OME"),
        ("a.ome.tiff", "<OME"),
        ("a.ome.zarr/zarr.json", b"{"),
        ("a.ome.zarr/zarr.json", b"[]"),
        ("a.ome.zarr/zarr.json", b'{"attributes": 3}'),
    ],
    ids=str,
)
def test_damaged_dataset_is_in_the_stamp(acquire: Any, tmp_path: Path, name: str, content: Any) -> None:
    import tifffile

    record = acquire(tmp_path / "whole.ome.zarr")
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    if isinstance(content, str):
        tifffile.imwrite(file, np.zeros((4, 4), "uint8"), description=content, metadata=None)
        content = file.read_bytes()
    file.write_bytes(content)
    dataset = file if file.suffix == ".tiff" else file.parent
    stamped = stamp_dataset(record, dataset, None)
    assert not stamped.is_stamped_inside and "inside" in stamped.error
    assert Path(stamped.sidecar).read_bytes() == encode(record)
    assert file.read_bytes() == content


def test_zarr_of_format_2_is_stamped(acquire: Any, tmp_path: Path) -> None:
    record = acquire(tmp_path / "new.ome.zarr")
    old = tmp_path / "old.zarr"
    old.mkdir()
    (old / ".zattrs").write_text('{"multiscales": []}')
    assert stamp_dataset(record, old, None).is_stamped_inside
    attributes = json.loads((old / ".zattrs").read_text())
    assert attributes["multiscales"] == [] and attributes[ATTRIBUTE_KEY]["record_id"] == str(record.record_id)


def test_other_files_are_stamped_beside_only(acquire: Any, tmp_path: Path) -> None:
    record = acquire(tmp_path / "new.ome.zarr")
    other = tmp_path / "notes.dat"
    other.write_bytes(b"123")
    stamped = stamp_dataset(record, other, None)
    assert (stamped.is_stamped_inside, stamped.error) == (False, None)
    assert other.read_bytes() == b"123" and sidecar_path(other).is_file()


def test_folder_hash_is_what_sha256sum_would_give(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "2").write_bytes(b"two")
    (folder / "a").write_bytes(b"one")
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in (("a", b"one"), ("b/2", b"two"))
    ]
    described = describe_output(folder)
    assert described.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (described.size_bytes, described.n_files, described.format) == (6, 2, "other")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "empty"])
def test_dataset_without_files_is_an_error(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "x")
    with pytest.raises(CaptureError, match="x"):
        describe_output(tmp_path / "x")


def test_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["f"]
