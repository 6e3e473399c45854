"""Records found in files, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.exports import Bundle, ExportError, bundle_of, read_bundle
from agent.records import FrameColumns, FrameLedger, InstrumentProfile, Profile

RECORDS = Path(__file__).parent / "records"
GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def test_read_finds_the_ledger_beside_the_record(bundle: Bundle) -> None:
    assert bundle.frames is not None and len(bundle.frames.frame) == 44
    assert bundle.instrument is not None


def test_record_of_a_newer_version_is_refused_with_advice(tmp_path: Path) -> None:
    value = json.loads((RECORDS / "demo.scopestamp.json").read_bytes()) | {"schema_version": "2.0"}
    path = tmp_path / "new.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(ExportError, match=r"version 1\.x, came 2\.0.*update"):
        read_bundle([path])


def test_unknown_fields_of_a_newer_minor_version_are_passed_over(tmp_path: Path) -> None:
    value = json.loads((RECORDS / "demo.scopestamp.json").read_bytes())
    path = tmp_path / "minor.json"
    path.write_text(json.dumps(value | {"schema_version": "1.7", "colour": "blue"}), encoding="utf-8")
    assert read_bundle([path]).finished.acquisition_id


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"kind": "weather"}'])
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ExportError):
        read_bundle([path])


def test_records_without_an_acquisition_are_refused() -> None:
    with pytest.raises(ExportError, match="finished acquisition"):
        read_bundle([RECORDS / "instrument.json"])


def test_several_records_may_lie_in_one_file(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "all.jsonl"
    lines = [(RECORDS / name).read_text("utf-8") for name in ("demo.scopestamp.json", "instrument.json")]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_bundle([path]).instrument == bundle.instrument


def test_profile_that_the_acquisition_points_to_is_taken(bundle: Bundle, profile: Profile) -> None:
    def published(item: Profile) -> InstrumentProfile:
        finished = bundle.finished
        return InstrumentProfile(
            captured=finished.captured,
            instrument_id=finished.instrument_id,
            producer=finished.producer,
            profile=item,
            profile_sha256=item.sha256,
        )

    other = profile.model_copy(update={"version": "2"})
    finished = bundle.finished.model_copy(update={"profile_sha256": profile.sha256})
    assert bundle_of([finished, published(profile), published(other)]).profile == profile
    assert bundle_of([bundle.finished, published(profile), published(other)]).profile == other
    assert bundle_of([bundle.finished]).profile == Profile()


def test_ledgers_are_joined_in_order_and_each_frame_once(bundle: Bundle) -> None:
    frames = bundle.frames
    assert frames is not None

    def ledger(start: int, stop: int) -> FrameLedger:
        columns = FrameColumns(
            **{name: getattr(frames, name)[start:stop] for name in FrameColumns.model_fields}
        )
        finished = bundle.finished
        return FrameLedger(
            captured=finished.captured,
            instrument_id=finished.instrument_id,
            producer=finished.producer,
            acquisition_id=finished.acquisition_id,
            first_frame=start,
            columns=columns,
            states=(),
        )

    joined = bundle_of([ledger(20, 44), bundle.finished, ledger(0, 25)])
    assert joined.frames == frames
    assert replace(bundle, instrument=None) == replace(joined, profile=bundle.profile)


def test_last_line_cut_short_costs_that_frame_alone(tmp_path: Path) -> None:
    for name in ("demo.scopestamp.json", "demo.scopestamp.frames.jsonl"):
        data = (RECORDS / name).read_bytes()
        (tmp_path / name).write_bytes(data if name.endswith(".json") else data[: data.rindex(b"[43,") + 20])
    frames = read_bundle([tmp_path / "demo.scopestamp.json"]).frames
    assert frames is not None and len(frames.frame) == 43


def test_golden_finished_record_can_be_exported() -> None:
    assert read_bundle([GOLDEN / "acquisition_finished.v1.0.json"]).profile == Profile()


def test_without_a_profile_the_settings_nameplate_is_taken() -> None:
    bundle = read_bundle([RECORDS / "demo.scopestamp.json", RECORDS / "instrument.json"])
    assert bundle.profile.instrument.name == "Demo microscope"
