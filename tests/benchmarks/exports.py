"""What exports cost: ``python tests/benchmarks/exports.py``.

Prints as JSON: seconds to write one acquisition in every format, and seconds to enrich an OME-TIFF and an OME-Zarr in
place, small and large. The large TIFF holds 10 GB of pixels in a sparse file, the large Zarr 10 000 chunks; neither
should take longer than the small one by more than the walk along its pages.
"""

from __future__ import annotations

import json
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tifffile

from agent.exports import FORMATS, export, read_bundle, view_of
from agent.exports.enrich import enrich_dataset
from agent.exports.view import AcquisitionView
from agent.profile import load_profile

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "tests" / "agent" / "exports" / "records"
SIDE_PX = {"small": 64, "large": 10_660}  # 44 pages of 16 bit: 360 kB and 10 GB


def main() -> None:
    """Measure and print."""
    paths = [RECORDS / "demo.scopestamp.json", RECORDS / "instrument.json"]
    view = view_of(read_bundle(paths, load_profile(ROOT / "config" / "instrument.toml")))
    measured: dict[str, object] = {"all formats, cold": _seconds(lambda: _every_format(view))}
    measured["all formats, warm"] = _seconds(lambda: _every_format(view))
    with tempfile.TemporaryDirectory() as folder:
        for size, side in SIDE_PX.items():
            path = sparse_tiff(Path(folder) / f"{size}.ome.tiff", side)
            key = f"enrich TIFF of {path.stat().st_size / 1e9:.3g} GB"
            measured[key] = _seconds(lambda path=path: enrich_dataset(path, view))  # type: ignore[misc]
        for n_chunks in (100, 10_000):
            group = zarr_of_chunks(Path(folder) / f"{n_chunks}.ome.zarr", n_chunks)
            key = f"enrich Zarr of {n_chunks} chunks"
            measured[key] = _seconds(lambda group=group: enrich_dataset(group, view))  # type: ignore[misc]
    print(json.dumps(measured, indent=2))


def _every_format(view: AcquisitionView) -> None:
    for name in FORMATS:
        export(name, view)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 4)


def sparse_tiff(path: Path, side: int) -> Path:
    """Write a BigTIFF of 44 pages whose pixels are holes in the file; return its path."""
    comment = b'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">' + b"".join(
        b'<Image ID="Image:%d"><Pixels ID="Pixels:%d" DimensionOrder="XYZCT" Type="uint16" SizeX="%d" SizeY="%d" '
        b'SizeZ="11" SizeC="2" SizeT="1"><Channel ID="Channel:%d:0"/><Channel ID="Channel:%d:1"/>'
        b'<TiffData IFD="%d" PlaneCount="22"/></Pixels></Image>' % (i, i, side, side, i, i, 22 * i)
        for i in range(2)
    )
    comment += b"</OME>\0"
    n_bytes = 2 * side * side
    with path.open("wb") as file:
        file.write(b"II" + struct.pack("<HHHQ", 43, 8, 0, 16))
        at = 16
        for page in range(44):
            tags = [
                (256, 4, 1, side),
                (257, 4, 1, side),
                (258, 3, 1, 16),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 16, 1, 0),
                (277, 3, 1, 1),
                (278, 4, 1, side),
                (279, 16, 1, n_bytes),
            ]
            if page == 0:
                tags.insert(5, (270, 2, len(comment), 0))
            end = at + 8 + 20 * len(tags) + 8
            texts_end = end + (len(comment) if page == 0 else 0)
            values = {270: end, 273: texts_end}
            after = texts_end + n_bytes
            file.seek(at)
            file.write(struct.pack("<Q", len(tags)))
            for code, kind, count, value in tags:
                file.write(struct.pack("<HHQQ", code, kind, count, values.get(code, value)))
            file.write(struct.pack("<Q", after if page < 43 else 0))
            if page == 0:
                file.write(comment)
            at = after
        file.truncate(at)
    assert tifffile.tiffcomment(path)
    return path


def zarr_of_chunks(path: Path, n_chunks: int) -> Path:
    """Write an image group of `n_chunks` chunk files; return its path."""
    chunks = path / "0" / "c"
    chunks.mkdir(parents=True)
    attributes = {"ome": {"version": "0.5", "multiscales": []}}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "zarr.json").write_text(json.dumps(group), encoding="utf-8")
    for number in range(n_chunks):
        (chunks / str(number)).write_bytes(b"\0" * 64)
    return path


if __name__ == "__main__":
    main()
