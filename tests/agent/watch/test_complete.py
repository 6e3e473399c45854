"""Completeness of what the real writers leave: finished, and killed half way."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.watch.candidates import Candidate, folder_format, list_folder
from agent.watch.complete import judge
from agent.watch.mmstack import read_metadata
from agent.watch.verdict import Verdict

MDA = """
import os, signal, sys, useq
from pymmcore_plus import CMMCorePlus
output, n_frames, n_alive, positions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
core = CMMCorePlus()
core.loadSystemConfiguration()
seen = []
@core.mda.events.frameReady.connect
def _(*_):
    seen.append(1)
    if len(seen) == n_alive:
        os.kill(os.getpid(), signal.SIGKILL)
plan = useq.MDASequence(
    time_plan={"interval": 0, "loops": n_frames}, stage_positions=[(0, 0, 0)] * positions, axis_order="ptc"
)
if output.endswith("sequence"):
    from pymmcore_plus.mda.handlers import ImageSequenceWriter
    output = ImageSequenceWriter(output)
core.run_mda(plan, output=output).join()
sys.stdout.flush()
os._exit(0)  # MMCore's delivery thread does not outlive an interpreter that shuts down
"""
NDTIFF = """
import os, signal, sys
import numpy as np
from ndstorage import NDTiffDataset
n_frames, n_alive = int(sys.argv[2]), int(sys.argv[3])
dataset = NDTiffDataset(sys.argv[1], summary_metadata={"a": 1}, name="run", writable=True)
for t in range(n_frames):
    dataset.put_image({"time": t}, np.full((64, 48), t, np.uint16), {"Exposure-ms": 10})
    if t + 1 == n_alive:
        os.kill(os.getpid(), signal.SIGKILL)
dataset.finish()
"""
NEVER = 0


def all_in(folder: Path) -> list[Candidate]:
    listing = list_folder(folder)
    below = [candidate for child in listing.subfolders for candidate in all_in(child)]
    return [*listing.datasets, *below]


def verdicts(folder: Path, kind: str) -> list[Verdict]:
    found = all_in(folder)
    assert {candidate.format for candidate in found} == {kind}
    return [judge(candidate) for candidate in found]


@pytest.fixture
def run_mda(run_writer: Callable[..., int], tmp_path: Path) -> Callable[..., Path]:
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

    def run(name: str, n_frames: int = 6, n_alive: int = NEVER, positions: int = 1) -> Path:
        folder = tmp_path / "images"
        folder.mkdir()
        code = run_writer(MDA, folder / name, n_frames, n_alive, positions)
        assert (code == -9) == bool(n_alive)
        return folder

    return run


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.ome.zarr", "ome-zarr"), ("a.ome.tiff", "ome-tiff"), ("sequence", "image-sequence")],
)
def test_finished_run_is_complete(run_mda: Callable[..., Path], name: str, kind: str) -> None:
    (verdict,) = verdicts(run_mda(name), kind)
    assert (verdict.completeness, verdict.n_frames, verdict.n_frames_expected) == ("complete", 6, 6)


@pytest.mark.parametrize(("name", "kind"), [("a.ome.zarr", "ome-zarr"), ("a.ome.tiff", "ome-tiff")])
def test_finished_run_over_positions_is_complete(run_mda: Callable[..., Path], name: str, kind: str) -> None:
    found = verdicts(run_mda(name, n_frames=3, positions=2), kind)
    assert {verdict.completeness for verdict in found} == {"complete"}
    assert sum(verdict.n_frames or 0 for verdict in found) == 6


@pytest.mark.parametrize(
    ("name", "kind", "most_known"),
    [("a.ome.zarr", "ome-zarr", None), ("a.ome.tiff", "ome-tiff", 1), ("sequence", "image-sequence", 15)],
)
def test_killed_writer_leaves_an_incomplete_dataset(
    run_mda: Callable[..., Path], name: str, kind: str, most_known: int | None
) -> None:
    (verdict,) = verdicts(run_mda(name, n_frames=30, n_alive=15), kind)
    assert (verdict.completeness, verdict.is_final, verdict.n_frames_expected) == ("incomplete", False, 30)
    assert verdict.n_frames is None if most_known is None else 0 < verdict.n_frames <= most_known


def test_ndtiff_of_the_python_engine_settles(run_writer: Callable[..., int], tmp_path: Path) -> None:
    from ndstorage import NDTiffDataset

    run_writer(NDTIFF, tmp_path / "nd", 20, NEVER)
    (verdict,) = verdicts(tmp_path / "nd", "ndtiff")
    peer = NDTiffDataset(str(tmp_path / "nd" / "run_1"))
    n_frames = len(peer.get_image_coordinates_list())
    peer.close()
    assert (verdict.completeness, verdict.n_frames) == ("settled", n_frames)
    assert n_frames == 20
    assert verdict.facts == {"axes": "time", "size_x": 48, "size_y": 64}


def test_ndtiff_of_a_killed_python_engine_is_incomplete(
    run_writer: Callable[..., int], tmp_path: Path
) -> None:
    assert run_writer(NDTIFF, tmp_path / "nd", 20, 10) == -9
    (verdict,) = verdicts(tmp_path / "nd", "ndtiff")
    assert verdict.completeness == "incomplete"


def test_ndtiff_index_of_the_java_engine_that_is_cut_off_tells_its_whole_entries(
    run_writer: Callable[..., int], tmp_path: Path
) -> None:
    """The Java engine appends to the index with each image, so a crash leaves whole entries and a torn one."""
    run_writer(NDTIFF, tmp_path / "nd", 20, NEVER)
    index = tmp_path / "nd" / "run_1" / "NDTiff.index"
    data = index.read_bytes()
    for n_bytes_lost in (1, 20, 36, 40, 60):
        index.write_bytes(data[:-n_bytes_lost])
        (verdict,) = verdicts(tmp_path / "nd", "ndtiff")
        assert (verdict.completeness, verdict.n_frames) == ("incomplete", 19)


def test_ndtiff_with_a_stack_that_was_not_copied_to_its_end_is_incomplete(
    run_writer: Callable[..., int], tmp_path: Path
) -> None:
    run_writer(NDTIFF, tmp_path / "nd", 20, NEVER)
    stack = tmp_path / "nd" / "run_1" / "run_NDTiffStack.tif"
    stack.write_bytes(stack.read_bytes()[:50_000])
    (verdict,) = verdicts(tmp_path / "nd", "ndtiff")
    assert "shorter" in verdict.note


def test_mmstack_is_complete_when_the_text_is_closed_and_the_comments_are_there(
    studio: Any, tmp_path: Path
) -> None:
    run = studio(tmp_path / "x" / "run_1", 4)
    for _ in range(4):
        run.frame()
    run.flush()
    assert verdicts(tmp_path / "x", "mmstack")[0].completeness == "incomplete"
    run.close()
    (verdict,) = verdicts(tmp_path / "x", "mmstack")
    assert (verdict.completeness, verdict.n_frames, verdict.n_frames_expected) == ("complete", 4, 4)
    assert verdict.facts["objective"] == "Plan Apo 60x"
    assert verdict.facts["size_x"] == 8


def test_mmstack_of_a_run_that_was_stopped_is_closed_but_short(studio: Any, tmp_path: Path) -> None:
    run = studio(tmp_path / "x" / "run_1", 10)
    for _ in range(3):
        run.frame()
    run.close()
    (verdict,) = verdicts(tmp_path / "x", "mmstack")
    assert (verdict.completeness, verdict.is_final, verdict.n_frames) == ("incomplete", True, 3)


def test_truncated_metadata_tells_every_whole_frame(studio: Any, tmp_path: Path) -> None:
    """Cut at every byte: the count of whole frames is that of their closing lines before the cut."""
    run = studio(tmp_path / "run_1", 5)
    for _ in range(5):
        run.frame()
    run.close()
    whole = run.metadata.read_bytes()
    path = tmp_path / "cut.txt"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        said = read_metadata(path)
        closed = [line for line in whole[:length].split(b"\n") if line in (b"  },", b"  }")]
        n_closed = max(len(closed) - 1, 0)  # the first is the summary
        assert said.n_frames == n_closed
        assert said.is_whole is False or length >= len(whole) - 2
    path.write_bytes(whole)
    assert read_metadata(path) == read_metadata(run.metadata)
    assert read_metadata(path).is_whole


def test_plain_tiff_settles_and_a_torn_one_tells_its_whole_pages(
    write_tiff: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", n_pages=10)
    whole = judge(Candidate(path, "tiff"))
    assert (whole.completeness, whole.n_frames) == ("settled", 10)
    path.write_bytes(path.read_bytes()[:-600])
    assert judge(Candidate(path, "tiff")).n_frames < 10


@pytest.mark.parametrize("suffix", ["nd2", "czi", "lif", "oib", "oir", "ims"])
def test_vendor_file_that_nobody_can_read_is_registered_all_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"\0" * 1000)
    (verdict,) = verdicts(tmp_path, suffix)
    assert verdict.completeness == "settled"
    assert verdict.n_frames is None
    assert bool(verdict.problems) == (suffix not in ("oir", "ims"))


LIF = """<LMSDataContainerHeader Version="2"><Element Name="project" Visibility="1">
<Data><Experiment Path="x"/></Data><Memory Size="0" MemoryBlockID="MemBlock_9"/><Children><Element Name="cells"><Data><Image>
<ImageDescription><Channels><ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity=""
Min="0" Max="65535" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/></Channels><Dimensions>
<DimensionDescription DimID="1" NumberOfElements="8" Origin="0" Length="1" Unit="m" BitInc="0" BytesInc="2"/>
<DimensionDescription DimID="2" NumberOfElements="6" Origin="0" Length="1" Unit="m" BitInc="0" BytesInc="16"/>
<DimensionDescription DimID="3" NumberOfElements="3" Origin="0" Length="1" Unit="m" BitInc="0" BytesInc="96"/>
</Dimensions></ImageDescription></Image></Data><Memory Size="288" MemoryBlockID="MemBlock_0"/></Element></Children>
</Element></LMSDataContainerHeader>"""


def test_vendor_file_tells_what_its_reader_says(tmp_path: Path) -> None:
    """A LIF by the letter of its layout: a block with the XML, and one of pixels behind its name."""
    pytest.importorskip("liffile", reason='needs a vendor reader: pip install ".[vendor]"')

    def text(content: str) -> bytes:
        return struct.pack("<BI", 0x2A, len(content)) + content.encode("utf-16-le")

    def block(content: bytes) -> bytes:
        return struct.pack("<II", 0x70, len(content)) + content

    pixels = struct.pack("<BQ", 0x2A, 288) + text("MemBlock_0")
    (tmp_path / "a.lif").write_bytes(block(text(LIF)) + block(pixels) + bytes(288))
    (verdict,) = verdicts(tmp_path, "lif")
    assert (verdict.completeness, verdict.n_frames, verdict.problems) == ("settled", 3, ())
    assert verdict.facts == {"size_x": 8, "size_y": 6, "size_z": 3, "n_images": 1}
    assert verdict.reader.startswith("liffile ")


def test_other_zarr_settles_with_its_shape(tmp_path: Path) -> None:
    import numpy as np
    import zarr

    group = zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros((3, 2, 8, 8), np.uint16))
    axes = [{"name": name} for name in "tcyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    (verdict,) = verdicts(tmp_path, "ome-zarr")
    assert (verdict.completeness, verdict.n_frames_expected) == ("settled", 6)
    shutil.rmtree(tmp_path / "b.zarr" / "0")
    assert verdicts(tmp_path, "ome-zarr")[0].n_frames_expected is None


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["zarr.json"], "ome-zarr"),
        (["NDTiff.index", "a_NDTiffStack.tif"], "ndtiff"),
        (["x_MMStack_Default.ome.tif", "x_MMStack_Default_metadata.txt"], "mmstack"),
        (["x_MMStack.ome.tif"], "mmstack"),
        (["_useq_MDASequence.json", "00000.tif"], "image-sequence"),
        (["a.ome.tif", "b.tif"], None),
    ],
)
def test_folder_is_told_by_its_names(names: list[str], kind: str | None) -> None:
    found = folder_format(Path("folder"), names)
    assert (found.format if found else None) == kind
