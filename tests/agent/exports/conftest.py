"""A real acquisition of the demo hardware, as records; and where the standards' own files are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agent.exports import Bundle, read_bundle, view_of
from agent.exports.qc_stamp import qc_stamp
from agent.exports.view import AcquisitionView
from agent.profile import load_profile
from agent.records import Profile, QcResult, Quantity, Source, decode

ROOT = Path(__file__).parents[3]
RECORDS = Path(__file__).parent / "records"
GOLDEN_QC = ROOT / "tests" / "data" / "golden" / "qc_result.v1.0.json"


@pytest.fixture(scope="session")
def profile() -> Profile:
    return load_profile(ROOT / "config" / "instrument.toml")


@pytest.fixture
def bundle(profile: Profile) -> Bundle:
    return read_bundle([RECORDS / "demo.scopestamp.json", RECORDS / "instrument.json"], profile)


@pytest.fixture
def with_qc() -> Callable[..., Bundle]:
    """Write the QC that held into an acquisition's record, as the capture does."""

    def stamped(bundle: Bundle, *results: QcResult) -> Bundle:
        qc = qc_stamp(view_of(bundle), results)
        finished = bundle.finished.model_copy(update={"qc": qc})
        return replace(bundle, finished=finished, qc=results)

    return stamped


@pytest.fixture
def view(bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]) -> AcquisitionView:
    return view_of(with_qc(bundle, qc()))


@pytest.fixture
def empty_view(bundle: Bundle) -> AcquisitionView:
    """The same acquisition when nobody stated anything and only the acquisition's own record is left."""
    return view_of(Bundle(bundle.finished))


@pytest.fixture
def two_cameras(bundle: Bundle) -> AcquisitionView:
    """The same acquisition seen by two cameras: DAPI by the first, FITC by both at once."""
    assert bundle.frames is not None and bundle.finished.before is not None
    columns = {name: list(getattr(bundle.frames, name)) for name in type(bundle.frames).model_fields}
    rows = list(zip(*columns.values(), strict=True))
    at = list(columns).index("camera")
    seen_twice = [(*row[:at], "Camera-2", *row[at + 1 :]) for row in rows if row[3].get("c") == 1]
    joined = [*rows, *seen_twice]
    frames = type(bundle.frames)(**{n: c for n, c in zip(columns, zip(*joined, strict=True), strict=True)})
    before = bundle.finished.before
    camera = before.devices["Camera"]
    second = {**camera, "Gain": camera["Gain"].model_copy(update={"value": 7})}
    devices = {**before.devices, "Camera-2": second}
    image = bundle.finished.images[0]
    finished = bundle.finished.model_copy(
        update={
            "before": before.model_copy(update={"devices": devices}),
            "images": (image, image.model_copy(update={"camera": "Camera-2"})),
        }
    )
    known = bundle.profile.cameras[0]
    other = known.model_copy(
        update={"name": "Second", "device": "Camera-2", "part_id": None, "serial_number": "2", "nbo": {}}
    )
    profile = bundle.profile.model_copy(update={"cameras": (known, other)})
    return view_of(replace(bundle, finished=finished, frames=frames, profile=profile))


@pytest.fixture
def qc(bundle: Bundle) -> Callable[..., QcResult]:
    """Make a QC result some days before the acquisition."""

    def make(days: float = 3.0, metrics: dict[str, float] | None = None, **update: Any) -> QcResult:
        golden = decode(GOLDEN_QC.read_bytes())
        assert isinstance(golden, QcResult)
        when = bundle.finished.started.wall_at - timedelta(days=days)
        update.setdefault("light_path", {"camera": "Camera"})
        if metrics:
            one = golden.metrics[0]
            update["metrics"] = tuple(
                one.model_copy(
                    update={
                        "metric": name,
                        "measured": Quantity(value=value, source=Source.QC, observed_at=when),
                    }
                )
                for name, value in metrics.items()
            )
        captured = golden.captured.model_copy(update={"wall_at": when})
        common = {"instrument_id": bundle.finished.instrument_id, "captured": captured, "valid_until": None}
        return golden.model_copy(update={**common, "record_id": uuid4(), "run_id": uuid4(), **update})

    return make


@pytest.fixture
def schemas(standards: Path) -> dict[str, dict[str, Any]]:
    """The classes of Micro-Meta App by schema id."""
    text = (standards / "micro-meta-app" / "fullSchema-2.01.1.json").read_text("utf-8")
    return {item["ID"]: item for item in json.loads(text)}
