"""Pycro-Manager for real: its Python back end on the demo adapters, watched by the agent."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pycromanager")
pytest.importorskip("mm_test_adapters")
SCENARIOS = Path(__file__).with_name("scenarios.py")


def play(scenario, folder):
    command = [sys.executable, str(SCENARIOS), scenario, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def record_of(dataset):
    return json.loads(dataset.with_name(dataset.name + ".scopestamp.json").read_bytes())


def frames_of(dataset):
    lines = dataset.with_name(dataset.name + ".scopestamp.frames.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if isinstance(row, list)]


def images_of(dataset):
    """Return axes and tags of every image, as NDTiff's own reader has them."""
    from ndstorage import Dataset

    stored = Dataset(str(dataset))
    try:
        return [(axes, stored.read_metadata(**axes)) for axes in stored.get_image_coordinates_list()]
    finally:
        stored.close()


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captured")
    told, _ = play("with_hooks_and_processor", folder)
    return folder, told


def test_users_hooks_and_processor_run_as_ever(captured):
    _, told = captured
    assert (told["n_hook"], told["n_processor"]) == (12, 12)
    assert told["is_settled"] and told["is_detached"]
    assert told["is_log_level_kept"]


def test_every_acquisition_begins_and_ends_once(captured):
    _, told = captured
    records = told["records"]
    assert (records["acquisition_started"], records["acquisition_finished"]) == (3, 3)
    assert "acquisition_did_not_start" not in records


def test_record_beside_the_data_tells_frames_state_and_hash(captured):
    folder, _ = captured
    record = record_of(folder / "stack_1")
    assert (record["reason"], record["frames"]) == ("completed", {"seen": 12, "unstamped": 0})
    (file,) = record["files"]
    tiff, index = folder / "stack_1" / "stack_NDTiffStack.tif", folder / "stack_1" / "NDTiff.index"
    lines = [f"{hashlib.sha256(part.read_bytes()).hexdigest()}  {part.name}\n" for part in (index, tiff)]
    assert file["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert file["size_bytes"] == tiff.stat().st_size + index.stat().st_size
    after = record["after"]["devices"]
    assert after["Camera"]["Gain"] == after["Camera"]["Gain"] | {"value": 3, "how": "hardware"}
    assert after["Z"]["@position"]["value"] == 7.0


def test_ledger_agrees_with_what_ndtiff_stored(captured):
    folder, _ = captured
    rows = frames_of(folder / "stack_1")
    stored = {
        (axes["time"], ["DAPI", "FITC"].index(axes["channel"]), axes["z"]): tags
        for axes, tags in images_of(folder / "stack_1")
    }
    assert len(rows) == len(stored) == 12
    for row in rows:
        tags = stored[row[3]["t"], row[3]["c"], row[3]["z"]]
        assert (row[5], row[6]) == (tags["Axes"]["channel"], tags["Exposure"])
        assert (row[9], row[10]) == (tags["ZPosition_um_Intended"], "commanded")
    times = [row[2] for row in rows]
    assert times == sorted(times)


def test_state_follows_the_channel(captured):
    folder, _ = captured
    path = folder / "stack_1.scopestamp.frames.jsonl"
    states = [line for line in map(json.loads, path.read_text().splitlines()) if "state" in line]
    labels = [state["values"]["Dichroic"]["Label"] for state in states if "Dichroic" in state["values"]]
    assert labels == ["Q505LP", "400DCLP", "Q505LP"]  # FITC, DAPI, FITC of the demo; it began in DAPI


def test_hardware_burst_is_captured_without_times_of_its_own(captured):
    folder, _ = captured
    rows = frames_of(folder / "burst_1")
    assert [row[3] for row in rows] == [{"t": i} for i in range(10)]
    assert {row[2] for row in rows} == {None}
    assert record_of(folder / "burst_1")["reason"] == "completed"


def test_nothing_of_it_remains_after_detach(captured):
    folder, told = captured
    assert told["constructor"] == "pycromanager.acquisition.python_backend_acquisitions"
    assert (folder / "unwatched_1" / "NDTiff.index").is_file()
    assert not list(folder.glob("unwatched*.json"))


def test_acquisition_that_ends_early_says_why(tmp_path):
    _, printed = play("ended_early", tmp_path)
    assert "the user's own mistake" in printed  # as Pycro-Manager itself tells of it
    raising, aborted = record_of(tmp_path / "raising_1"), record_of(tmp_path / "aborted_1")
    assert raising["reason"] == "errored"
    assert raising["frames"]["seen"] == len(images_of(tmp_path / "raising_1"))
    assert aborted["reason"] == "canceled"
    assert 1 <= aborted["frames"]["seen"] < 1000


def test_mistake_of_ours_costs_the_user_no_image(tmp_path):
    told, printed = play("agent_that_fails", tmp_path)
    assert told["n_images"] == [3, 3, 3]
    assert printed.count("a mistake of ours") >= 3


def test_other_cores_are_refused_with_what_to_do(tmp_path):
    messages, _ = play("not_a_core", tmp_path)
    assert "CMMCorePlus" in messages["plain"] and "CMMCorePlus" in messages["text"]
    assert "mmstudio" in messages["java"]
