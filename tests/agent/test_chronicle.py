"""The chronicle is a convenience: it forgets, it is shared by processes, and its failure costs nobody a record."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent.chronicle import KEPT_DAYS, Chronicle
from agent.clock import Clock
from agent.mint import Mint
from agent.records import AcquisitionPlan, AcquisitionStarted, SnapshotReason, StateSnapshot, SystemState


@pytest.fixture
def mint() -> Mint:
    return Mint("scope-1", "agent-1", Clock())


def started(mint: Mint) -> AcquisitionStarted:
    plan = AcquisitionPlan(axes={})
    return mint.make(AcquisitionStarted, acquisition_id=uuid4(), started=mint.clock.now(), plan=plan)


def snapshot(mint: Mint) -> StateSnapshot:
    state = SystemState(taken=mint.clock.now(), duration_ms=1.0, devices={})
    return mint.make(StateSnapshot, reason=SnapshotReason.KEY_FRAME, state=state)


def test_two_processes_see_what_each_noted(mint: Mint, tmp_path: Path) -> None:
    one, other = Chronicle(tmp_path), Chronicle(tmp_path)
    record = started(mint)
    one.note(record)
    assert other.acquisition(record.acquisition_id).started_at == record.started.wall_at
    other.note(started(mint))
    now = mint.clock.wall_at()
    assert len(one.acquisitions(now - timedelta(hours=1), now + timedelta(hours=1))) == 2
    one.close()
    other.close()


def test_what_is_old_is_forgotten_with_a_snapshot(mint: Mint, tmp_path: Path) -> None:
    chronicle = Chronicle(tmp_path)
    record = started(mint)
    chronicle.note(record, snapshot(mint))
    later = snapshot(mint)
    later = later.model_copy(
        update={
            "captured": later.captured.model_copy(
                update={"wall_at": later.captured.wall_at + timedelta(days=KEPT_DAYS + 1)}
            )
        }
    )
    assert chronicle.acquisition(record.acquisition_id) is not None
    chronicle.note(later)
    assert chronicle.acquisition(record.acquisition_id) is None
    chronicle.close()


def test_file_that_is_no_database_costs_nothing_but_a_warning(
    mint: Mint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "chronicle.sqlite").write_bytes(b"this is no database, and long enough to be noticed" * 100)
    chronicle = Chronicle(tmp_path)
    record = started(mint)
    chronicle.note(record)
    assert chronicle.acquisition(record.acquisition_id) is None
    assert chronicle.state_at(mint.clock.wall_at()) is None
    assert "cannot be used" in caplog.text
    chronicle.close()


def test_record_of_another_version_is_left_out(mint: Mint, tmp_path: Path) -> None:
    chronicle = Chronicle(tmp_path)
    chronicle.note(snapshot(mint))
    chronicle.close()
    with sqlite3.connect(tmp_path / "chronicle.sqlite") as db:
        db.execute("UPDATE state SET record = x'00'")
    db.close()
    assert chronicle.state_at(mint.clock.wall_at()) is None
    chronicle.close()
