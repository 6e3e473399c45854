"""The listener, compiled and run in a real JVM, on Guava's real event bus, against a Studio of our own."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from drivers.errors import ListenerError
from drivers.mmstudio.listener import JAR_NAME, build, install

GUAVA = Path("/usr/share/java/guava.jar")
needs_jdk = pytest.mark.skipif(
    shutil.which("javac") is None or shutil.which("java") is None, reason="no JDK on the PATH"
)
needs_guava = pytest.mark.skipif(
    not GUAVA.is_file(), reason=f"no Guava in {GUAVA} (Debian: libguava-java); the event bus is not faked"
)


def events_of(answer):
    """Return the events of a drain without what differs from run to run."""
    own = ("seq", "wall_ms", "nano", "thread")
    return [{key: value for key, value in event.items() if key not in own} for event in answer["events"]]


@needs_jdk
def test_jar_holds_our_classes_for_java_8_and_no_stub(jar):
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
        classes = [archive.read(name) for name in names if name.endswith(".class")]
    assert names[0] == "META-INF/MANIFEST.MF"
    assert "scopestamp/StudioListener.class" in names
    assert not [name for name in names if name.startswith("com/")]
    assert {int.from_bytes(code[6:8]) for code in classes} == {52}  # class file version of Java 8 (JVMS 4.1)


@needs_jdk
def test_same_source_gives_the_same_jar(jar, tmp_path):
    assert build(tmp_path).read_bytes() == jar.read_bytes()


@needs_jdk
def test_install_wants_a_studio_and_replaces_an_older_jar(tmp_path):
    with pytest.raises(ListenerError, match="mmplugins"):
        install(tmp_path)
    (tmp_path / "mmplugins").mkdir()
    (tmp_path / "mmplugins" / JAR_NAME).write_bytes(b"older")
    installed = install(tmp_path)
    assert zipfile.is_zipfile(installed)
    assert [file.name for file in (tmp_path / "mmplugins").iterdir()] == [JAR_NAME]


def test_without_a_compiler_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ListenerError, match="JDK"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@needs_jdk
@pytest.mark.parametrize("name", ["java", "nothing-here"])
def test_what_is_no_compiler_is_refused(tmp_path, name):
    with pytest.raises(ListenerError, match=name):
        build(tmp_path, tmp_path / name if name == "nothing-here" else Path(shutil.which(name)))


@needs_jdk
@needs_guava
def test_annotation_at_run_time_is_guavas_own(play):
    [origin] = play("annotations")
    assert Path(origin).samefile(GUAVA)


@needs_jdk
@needs_guava
def test_hardware_events_are_heard_in_order_until_closed(play):
    attached, first, second, empty, closed, after, n_listeners = play("hardware")
    assert attached["attached"] is True
    assert events_of(first) + events_of(second) == [
        {"event": "stage", "device": "Z", "position_um": 3.0},
        {"event": "xy", "device": "XY", "x_um": 1.005, "y_um": 1.995},
        {"event": "exposure", "camera": "Camera", "exposure_ms": 12.0},
        {"event": "property", "device": "Core", "property": "Shutter", "value": "White Light Shutter"},
        {"event": "config", "group": "System", "preset": ""},
        {"event": "live", "is_on": True},
        {"event": "configuration_loaded"},
    ]
    assert [event["seq"] for event in first["events"] + second["events"]] == [1, 2, 3, 4, 5, 6, 7]
    assert (first["queued"], second["queued"], empty["events"]) == (4, 0, [])
    assert (first["acquiring"], first["live"], first["closing"]) == (True, False, False)
    nanos = [event["nano"] for event in first["events"] + second["events"]]
    assert nanos == sorted(nanos) and nanos[-1] <= second["nano"]
    assert closed["attached"] is False and after["error"].endswith("not attached")
    assert n_listeners == 0


@needs_jdk
@needs_guava
def test_acquisition_is_told_from_its_start_to_its_last_image(play):
    _, answer, n_listeners, refused = play("acquisition")
    events = events_of(answer)
    [started] = [event for event in events if event["event"] == "acq_started"]
    assert events.index(started) == 0
    assert (started["path"], started["prefix"]) == ("D:/data/tap_1", "tap_1")
    assert json.loads(started["settings"]) == {"numFrames": 20}
    assert started["summary"] == {
        "user": "用户",
        "width_px": 512,
        "channels": ["DAPI", "FITC"],
        "dimensions": {"time": 20, "channel": 2},
        "errors": {"computer": "java.lang.IllegalStateException: no network"},
    }
    images = [event for event in events if event["event"] == "image"]
    assert [image["coords"]["time"] for image in images[:20]] == list(range(20))
    assert images[15] == {
        "event": "image",
        "coords": {"time": 15, "channel": 1},
        "elapsed_ms": 752.0,
        "exposure_ms": 10.0,
        "z_um": 7.5,
        "camera": "Camera",
        "acquisition": 1,
    }
    assert "z_um" not in images[0] and "x_um" not in images[15]  # null and NaN
    assert images[20] == {"event": "image", "acquisition": 1}
    assert {"event": "acq_ended", "path": "D:/data/tap_1", "acquisition": 1} in events
    assert events[-1] == {
        "event": "datastore_frozen",
        "path": "D:/data/tap_1",
        "n_images": 20,
        "acquisition": 1,
    }
    assert (n_listeners, answer["dropped"], answer["failed"]) == (0, 0, 0)
    assert [event["acquisition"] for event in events_of(refused)] == [2]
    assert refused["failed"] == 1  # its images will not be heard, and that is told


@needs_jdk
@needs_guava
def test_overflow_drops_the_newest_counts_and_keeps_what_ends(play):
    _, full, later = play("overflow")
    assert [event.get("position_um", event["event"]) for event in full["events"]] == [
        0,
        1,
        2,
        3,
        4,
        "acq_ended",
    ]
    assert [event["seq"] for event in full["events"]] == [1, 2, 3, 4, 5, 9]
    assert full["dropped"] == 3
    assert [event["seq"] for event in later["events"]] == [10]


@needs_jdk
@needs_guava
def test_getter_that_throws_costs_its_value_and_nothing_else(play):
    _, answer = play("raising")
    raised, nulls = events_of(answer)
    assert raised["device"] == "XY" and "x_um" not in raised
    assert raised["errors"]["x_um"] == "java.lang.IllegalStateException: the stage is off"
    assert "not even an Exception" in raised["errors"]["y_um"]
    assert nulls == {"event": "property", "device": "Camera"}
    assert answer["failed"] == 0


@needs_jdk
@needs_guava
def test_text_of_any_script_passes_an_8_bit_bridge(play):
    _, answer, state = play("text")
    [event] = events_of(answer)
    assert event["device"] == "显微镜"
    assert event["property"] == "\u00b5m \U0001f52c"
    assert event["value"] == '"@\\\n\x00\x7f</b>'
    assert state["presets"] == {"Channel": "蓝"}


@needs_jdk
@needs_guava
def test_core_is_read_and_everything_given_back(play):
    _, state, description, *readings, dead, n_wrappers = play("core")
    assert state["properties"] == {
        "Camera": {"Gain": "0"},
        "Objective": {"Label": "Nikon 10X=S:Fluor<br>\n", "State": "1"},
    }
    assert state["core"] == {
        "camera": "Camera",
        "xy_stage": "XY",
        "focus": "",
        "shutter": "",
        "auto_shutter": True,
        "remaining_images": 0,
    }
    assert (state["studio"]["x_um"], state["studio"]["z_um"], state["studio"]["live"]) == (1.0, None, False)
    camera, objective, broken = description["devices"]
    assert camera["properties"] == [
        {
            "name": "Gain",
            "type": "Integer",
            "is_read_only": False,
            "is_pre_init": False,
            "is_sequenceable": True,
            "lower": -5.0,
            "upper": 8.0,
            "allowed": [],
        }
    ]
    assert (camera["type"], camera["state_labels"]) == ("CameraDevice", [])
    assert objective["state_labels"] == ["10X", "20X"]
    assert broken == {"label": "Dead", "error": 'java.lang.Exception: No device with label "Dead"'}
    assert description["presets"][1] == {
        "group": "Channel",
        "name": "蓝",
        "settings": [["Objective", "State", "1"]],
    }
    assert (description["studio"], description["pixel_sizes_um"]) == ("2.0.3", {"Res10x": 1.0})
    values = [reading["value"] for reading in readings]
    roi = "x=1 y=2 width=30 height=40"
    assert values == ["Camera-Gain", 12.5, 1.5, -2.5, 10.0, roi, 0.5, "DAPI in Channel"]
    assert dead["error"].endswith("没有反应") and "value" not in dead
    assert n_wrappers == 0


@needs_jdk
@needs_guava
def test_listener_without_a_studio_answers_all_the_same(play):
    drained, state, attached, closed = play("unattached")
    assert drained["error"] == state["error"] == "java.lang.IllegalStateException: not attached"
    assert "has no events" in attached["error"] and attached["attached"] is False
    assert "error" not in closed


@needs_jdk
@needs_guava
def test_closing_studio_waits_for_the_read_inside_the_core(play):
    _, meanwhile, first, would_have_crashed, *refused = play("shutdownWaits")
    assert meanwhile["closing"] is True
    assert events_of(meanwhile) == [{"event": "shutdown_commencing"}]
    assert first == "closing waits"
    assert would_have_crashed is False
    assert [answer["error"] for answer in refused] == ["closing"] * 3


@needs_jdk
@needs_guava
def test_pollers_flat_out_never_meet_a_deleted_core(play):
    _, would_have_crashed, *last = play("shutdownUnderContention")
    assert would_have_crashed is False
    assert [answer["error"] for answer in last] == ["closing"] * 3


@needs_jdk
@needs_guava
def test_shutdown_that_somebody_cancels_opens_the_core_again(play):
    _, closing, cancelled, abandoned, alive = play("shutdownCancelled")
    assert closing["error"] == "closing"
    assert cancelled["properties"]["Camera"] == {"Gain": "0"}
    assert abandoned["error"] == "closing"
    assert alive["properties"]["Camera"] == {"Gain": "0"}


@needs_jdk
@needs_guava
def test_listener_that_nobody_drains_lets_go_of_studio(play):
    _, n_before, n_after, forgotten, again, answer = play("forgotten")
    assert (n_before, n_after) == (1, 0)
    assert forgotten["attached"] is False
    assert again["attached"] is True
    assert [event["position_um"] for event in answer["events"]] == [3.0]
    assert answer["dropped"] == 1
