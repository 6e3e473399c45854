"""Datasets found on disk and sessions of use: taken in, shown, and joined to their acquisition where one is known."""

from __future__ import annotations

from uuid import uuid4

import pytest

from agent.records import (
    AcquisitionFinished,
    DatasetFound,
    DatasetStamp,
    StampedFile,
    UsageSession,
    sha256_of,
)
from agent.records.wire import CHAIN_START


@pytest.fixture
def sender(running):
    return running.sender()


def found(scope, **more):
    fields = {
        "dataset_id": uuid4(),
        "joined_by": "nothing",
        "path": r"D:\data\<b>cells</b>.czi",
        "format": "czi",
        "completeness": "settled",
        "completeness_note": "nothing changes any more",
        "size_bytes": 1000,
        "n_files": 1,
        "first_seen_at": scope.wall_at,
        "began_at": scope.wall_at,
        "last_written_at": scope.wall_at,
        **more,
    }
    return scope.make(DatasetFound, **fields)


def stamp_of(scope, stamped, **more):
    file = StampedFile(
        path=r"D:\data\later.tif", sidecar=r"D:\data\later.tif.scopestamp.json", is_stamped_inside=False
    )
    return scope.make(
        DatasetStamp,
        stamped_record_id=stamped.record_id,
        stamped_record_sha256=sha256_of(stamped),
        files=(file,),
        **more,
    )


class Maker:
    """Makes records as an instrument's agent would."""

    def __init__(self, scope):
        self._scope = scope
        self._like = scope.heartbeat()

    @property
    def wall_at(self):
        return self._scope.wall_at

    def make(self, model, **fields):
        like = self._like
        return model(
            captured=self._scope.later(1), instrument_id=like.instrument_id, producer=like.producer, **fields
        )


def test_dataset_without_an_acquisition_is_filed_and_shown(running, tools, sender):
    maker = Maker(tools.Scope(sender))
    record = found(maker)
    reply = sender.send([record, stamp_of(maker, record)], prev=CHAIN_START)
    assert reply.status_code == 200
    assert reply.json().get("flagged", []) == []
    rows = running.get("/v1/records?kind=dataset_found").json()["records"]
    assert [row["record_id"] for row in rows] == [str(record.record_id)]
    with running.browser() as browser:
        page = browser.get(f"/records/{record.record_id}").text
        assert "Dataset found" in page
        assert "&lt;b&gt;cells" in page
        assert browser.get("/instruments/scope-1/acquisitions").text.count("/acquisitions/") <= 1


def test_session_of_use_is_filed_and_shown(running, tools, sender):
    scope = tools.Scope(sender)
    maker = Maker(scope)
    began = scope.now()
    session_id = uuid4()
    record = maker.make(
        UsageSession,
        record_id=session_id,
        session_id=session_id,
        user="3f1a92d5",
        user_name="hashed",
        began=began,
        ended=scope.later(60),
        duration_s=60.0,
        ended_by="idle",
        devices={"Objective": 2},
    )
    assert sender.send([record], prev=CHAIN_START).json().get("flagged", []) == []
    with running.browser() as browser:
        page = browser.get(f"/records/{session_id}").text
    assert "Usage session" in page
    assert "3f1a92d5" in page


def test_acquisition_shows_the_dataset_that_was_found_afterwards(running, tools, sender):
    scope = tools.Scope(sender)
    told = [record for record in scope.acquisition() if not isinstance(record, DatasetStamp)]
    finished = next(record for record in told if isinstance(record, AcquisitionFinished))
    told[told.index(finished)] = finished = finished.model_copy(update={"files": ()})
    maker = Maker(scope)
    dataset = found(maker, acquisition_id=finished.acquisition_id, joined_by="time")
    stamp = stamp_of(maker, finished, acquisition_id=finished.acquisition_id)
    assert sender.send([*told, dataset, stamp], prev=CHAIN_START).status_code == 200
    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{finished.acquisition_id}").text
    assert "later.tif" in page
    assert "1 of 1" in page
