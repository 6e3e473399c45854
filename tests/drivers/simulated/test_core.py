"""The simulated devices in Micro-Manager's own core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from drivers.errors import ConfigurationError, DriverError
from drivers.readings import How, Key, Status
from drivers.simulated import (
    CONFIGURATION,
    JumpingClock,
    SimulatedDriver,
    Truth,
    open_simulated,
    open_simulated_driver,
)
from drivers.simulated.truth import Sensor

TRUTH = Truth(seed=6, sensor=Sensor(height_px=120, width_px=170))
CAMERA, STAGE = "Camera", "XYStage"
PATIENCE_S = 20.0


@pytest.fixture
def opened() -> Iterator[tuple]:
    core, microscope = open_simulated(truth=TRUTH)
    yield core, microscope
    driver = SimulatedDriver(core, microscope)
    driver.close()


@pytest.fixture
def driver() -> Iterator[SimulatedDriver]:
    driver = open_simulated_driver(truth=TRUTH, clock=JumpingClock())
    driver.describe()
    yield driver
    driver.close()


def until(condition) -> None:
    """Poll like a user of the core does; the simulation itself never waits."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s


def snap(core) -> np.ndarray:
    core.snapImage()
    return core.getImage()


# ---- configuration


def test_configuration_mixes_python_and_demo_devices(opened) -> None:
    core, _ = opened
    libraries = {core.getDeviceLibrary(label) for label in core.getLoadedDevices()}
    assert {"DemoCamera", "drivers.simulated.camera_device", "drivers.simulated.devices"} <= libraries
    core.setConfig("Channel", "TRITC")
    assert core.getStateLabel("FilterCube") == "TRITC" and core.getStateLabel("Diaphragm") == "Open"
    assert core.getCurrentConfig("Channel") == core.getCurrentConfigFromCache("Channel") == "TRITC"


def test_plain_core_loads_the_demo_part() -> None:
    from drivers.mmcore import load_core
    from drivers.mmcore.release import release_callback

    core = load_core(CONFIGURATION)
    assert set(core.getLoadedDevices()) == {"DHub", "Diaphragm", "Core"}
    core.unloadAllDevices()
    release_callback(core)


def test_configuration_survives_saving_and_loading(opened, tmp_path) -> None:
    core, _ = opened
    core.saveSystemConfiguration(tmp_path / "saved.cfg")
    other, microscope = open_simulated(truth=Truth(seed=1), configuration=tmp_path / "saved.cfg")
    assert set(other.getLoadedDevices()) == set(core.getLoadedDevices())
    assert (microscope.truth.seed, microscope.truth.sensor) == (6, TRUTH.sensor)
    assert other.getPixelSizeUm() == core.getPixelSizeUm()
    SimulatedDriver(other, microscope).close()


def test_missing_configuration_is_named(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_simulated(configuration=tmp_path / "nowhere.cfg")


def test_devices_without_a_stand_are_refused(tmp_path) -> None:
    (tmp_path / "bad.cfg").write_text("#py pyDevice,Camera,drivers.simulated.camera_device,Camera\n")
    with pytest.raises(ConfigurationError, match="Stand before the other"):
        open_simulated(configuration=tmp_path / "bad.cfg")


def test_stand_is_set_up_by_the_configuration(tmp_path) -> None:
    text = CONFIGURATION.read_text("utf-8").replace(
        "Property,Core,Initialize,1",
        "#py Property,Stand,Seed,31\n#py Property,Stand,Sensor,90x150\nProperty,Core,Initialize,1",
    )
    (tmp_path / "small.cfg").write_text(text, "utf-8")
    driver = open_simulated_driver(tmp_path / "small.cfg", clock=JumpingClock())
    assert driver.microscope.truth.seed == 31 and driver.microscope.shape() == (90, 150)
    driver.close()
    (tmp_path / "small.cfg").write_text(text.replace("90x150", "90 by 150"), "utf-8")
    with pytest.raises(ConfigurationError, match="such as 512x640"):
        open_simulated_driver(tmp_path / "small.cfg")


def test_log_file_is_the_callers(tmp_path) -> None:
    core, microscope = open_simulated(truth=TRUTH, log_file=tmp_path / "core.log")
    assert core.getPrimaryLogFile() == str(tmp_path / "core.log")
    SimulatedDriver(core, microscope).close()
    assert (tmp_path / "core.log").exists()


def test_two_cores_have_two_microscopes() -> None:
    pairs = [open_simulated(truth=replace(TRUTH, seed=seed)) for seed in (1, 2)]
    (core_a, one), (core_b, two) = pairs
    core_a.setXYPosition(40.0, 0.0)
    assert one.x.commanded_um == 40.0 and two.x.commanded_um == 0.0
    assert not np.array_equal(snap(core_a), snap(core_b))
    for core, microscope in pairs:
        SimulatedDriver(core, microscope).close()


# ---- devices


def test_snap_opens_the_shutter_by_itself(opened) -> None:
    core, microscope = opened
    core.setStateLabel("Slide", "uniform")
    lit = snap(core)
    assert lit.shape == (120, 170) and lit.mean() > 500 and not microscope.shutter_open
    core.setAutoShutter(False)
    assert snap(core).mean() < 102
    core.setShutterOpen(True)
    assert snap(core).mean() > 500


def test_asking_whether_a_sequence_runs_leaves_the_light_of_a_snap_alone(opened) -> None:
    core, microscope = opened
    core.setStateLabel("Slide", "uniform")
    expose, seen = microscope.expose, []

    def asked_meanwhile(*args):
        core.isSequenceRunning()
        seen.append(microscope.shutter_open)
        return expose(*args)

    microscope.expose = asked_meanwhile
    assert snap(core).mean() > 500 and seen == [True]


def test_pixel_size_follows_turret_and_binning(opened) -> None:
    core, microscope = opened
    sizes = {}
    for preset in core.getAvailableConfigs("Objective"):
        core.setConfig("Objective", preset)
        sizes[preset] = core.getPixelSizeUm(), core.getPixelSizeUm(True)
        assert sizes[preset][0] == pytest.approx(TRUTH.pixel_size_um(microscope.objective), rel=1e-5)
    assert all(now == cached for now, cached in sizes.values())
    core.setProperty(CAMERA, "Binning", "2")
    assert core.getPixelSizeUm() == pytest.approx(2 * sizes[preset][0])
    assert core.getPixelSizeAffine()[0] == pytest.approx(core.getPixelSizeUm())
    assert core.getCurrentPixelSizeConfig() == preset


def test_camera_properties_take_text(opened) -> None:
    core, _ = opened
    core.setProperty(CAMERA, "Binning", "4")
    core.setProperty(CAMERA, "ReadoutMode", "8-bit")
    core.setProperty(CAMERA, "Exposure", "12.5")
    image = snap(core)
    assert (image.shape, image.dtype) == ((30, 42), np.uint8)
    assert core.getExposure() == 12.5 and core.getProperty(CAMERA, "BitDepth") == 8
    core.setROI(3, 5, 20, 11)
    assert snap(core).shape == (11, 20) and core.getROI() == [3, 5, 20, 11]
    core.clearROI()
    assert snap(core).shape == (30, 42)
    core.setROI(3, 5, 20, 11)
    core.setProperty(CAMERA, "Binning", "2")
    assert core.getROI() == [0, 0, 85, 60], "another binning shows everything again"


def test_stage_returns_within_its_repeatability(opened) -> None:
    core, microscope = opened
    truth, ends_um = microscope.truth.stage, []
    for _ in range(200):
        core.setXYPosition(300.0, -200.0)
        core.waitForDevice(STAGE)
        core.setXYPosition(0.0, 0.0)
        core.waitForDevice(STAGE)
        microscope.clock.sleep(5)
        ends_um.append(microscope.x.actual_um(truth.x))
    assert np.std(ends_um, ddof=1) == pytest.approx(truth.x.repeatability_um, rel=0.2)
    assert core.getXYPosition() == (0.0, 0.0)
    with pytest.raises(ValueError, match="too far"):
        core.setXYPosition(1e6, 0.0)


def test_faults_slides_and_light_are_properties(opened) -> None:
    core, microscope = opened
    core.setProperty("Faults", "camera warm", "On")
    core.setProperty("Slide", "Label", "dot grid")
    core.setProperty("LightSource", "FITC-Power-percent", "80")
    core.setProperty("FocusLock", "Lock", "On")
    core.setProperty("LightSource", "Lamp", "Off")
    assert microscope.faults == {"camera warm"} and microscope.slide == "dot grid"
    assert microscope.set_points["FITC"] == 0.8 and microscope.focus_is_locked and not microscope.lamp_is_on
    assert core.getProperty("Faults", "camera warm") == "On"
    assert float(core.getProperty("Thermometer", "Temperature-degC")) == pytest.approx(22.5, abs=1)
    assert float(core.getProperty("PowerMeter", "Power-mW")) == pytest.approx(0.001, abs=0.01)


def test_changes_are_told(opened) -> None:
    core, _ = opened
    told = []
    core.events.propertyChanged.connect(lambda *what: told.append(what))
    core.events.XYStagePositionChanged.connect(lambda *what: told.append(what))
    core.events.stagePositionChanged.connect(lambda *what: told.append(what))
    core.events.exposureChanged.connect(lambda *what: told.append(what))
    core.setProperty("Faults", "stage worn", "On")
    core.setXYPosition(10.0, 20.0)
    core.setPosition(3.0)
    core.setExposure(33.0)
    core.setState("Objective", 1)
    core.setProperty("Objective", "Label", "10x/0.30")
    expected = [("Faults", "stage worn", "On"), (STAGE, 10.0, 20.0), ("ZStage", 3.0), (CAMERA, 33.0)]
    assert [what for what in told if what in expected] == expected
    labels = [
        value for device, *rest in told if device == "Objective" for name, value in [rest] if name == "Label"
    ]
    assert labels[0] == "20x/0.75" and labels[-1] == "10x/0.30"
    assert core.getPropertyFromCache("Objective", "Label") == "10x/0.30"


# ---- acquisitions


def test_sequence_of_channels_planes_and_positions(opened) -> None:
    core, _ = opened
    from useq import MDASequence

    core.setProperty("Slide", "Label", "dot grid")
    core.setConfig("Objective", "20x")
    seen = []
    core.mda.events.frameReady.connect(
        lambda image, event, meta: seen.append((dict(event.index), image.std()))
    )
    core.mda.run(
        MDASequence(
            channels=["FITC", "Cy5"],
            z_plan={"range": 6, "step": 3},
            stage_positions=[(0, 0, 4), (37, -20, 4)],
        )
    )
    assert core.mda.status.finish_reason == "completed" and len(seen) == 12
    for position in (0, 1):
        stds = [std for index, std in seen if index["p"] == position and index["c"] == 0]
        assert np.argmax(stds) == 1, "the middle plane is the sharpest"


def test_burst_takes_as_many_frames_as_asked(opened) -> None:
    core, microscope = opened
    core.setStateLabel("Slide", "uniform")
    core.setExposure(10.0)
    core.startSequenceAcquisition(9, 0, True)
    until(lambda: not core.isSequenceRunning())
    images = [core.popNextImageAndMD() for _ in range(core.getRemainingImageCount())]
    assert len(images) == 9 and not microscope.shutter_open
    assert [int(md["FrameNumber"]) for _, md in images] == list(range(9))
    assert all(image.mean() > 300 for image, _ in images)
    assert len({image.tobytes() for image, _ in images}) == 9


def test_live_mode_shows_light_until_it_is_stopped(opened) -> None:
    core, microscope = opened
    core.setStateLabel("Slide", "uniform")
    core.startContinuousSequenceAcquisition(0)
    until(lambda: core.getRemainingImageCount() > 3)
    assert core.isSequenceRunning() and microscope.shutter_open
    assert core.getLastImage().mean() > 500
    core.stopSequenceAcquisition()
    assert not core.isSequenceRunning() and not microscope.shutter_open


# ---- the driver


def test_driver_describes_and_reads_everything(driver) -> None:
    hardware = driver.describe()
    assert hardware.devices[CAMERA].device_type == "CameraDevice"
    assert hardware.devices["Objective"].state_labels[0] == "10x/0.30"
    assert hardware.pixel_sizes_um["60x"] == pytest.approx(0.108333)
    failed = [
        reading
        for reading in (driver.read(key, How.HARDWARE) for key in sorted(driver.keys()))
        if reading.status is not Status.OK
    ]
    assert failed == []
    assert driver.read(Key("Core", "Camera"), How.CACHE).value == CAMERA
    assert driver.read(Key("Nobody", "Home"), How.HARDWARE).status is Status.ABSENT
    assert driver.read(Key(CAMERA, "Nothing"), How.HARDWARE).status is Status.ABSENT


def test_driver_moves_acquires_and_tells(driver, tmp_path) -> None:
    told = []
    driver.listen(lambda event: told.append(event) is None)
    driver.set_preset("Objective", "20x")
    driver.set_property(Key(CAMERA, "Exposure"), "15")
    assert driver.microscope.objective == "20x/0.75" and driver.microscope.camera.exposure_ms == 15
    driver.acquire({"channels": ["FITC"], "z_plan": {"range": 2, "step": 1}}, tmp_path / "stack.ome.tiff")
    kinds = [type(event).__name__ for event in told]
    assert kinds.count("FrameSeen") == 3
    assert kinds.index("SequenceStarted") < kinds.index("FrameSeen") < kinds.index("SequenceFinished")
    assert (tmp_path / "stack.ome.tiff").stat().st_size > 3 * 120 * 170 * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (Key("Slide", "Label"), "no such slide"),
        (Key(CAMERA, "Binning"), "3"),
        (Key(CAMERA, "Colour"), "red"),
        (Key("LightSource", "FITC-Power-percent"), "101"),
        (Key("Faults", "camera warm"), "Maybe"),
        (Key("Thermometer", "Temperature-degC"), "20"),
    ],
    ids=str,
)
def test_driver_refuses_in_the_devices_words(driver, key: Key, value: str) -> None:
    with pytest.raises(DriverError, match=key.property):
        driver.set_property(key, value)


def test_processes_that_used_it_end_well(tmp_path) -> None:
    import subprocess
    import sys

    program = (
        "from drivers.simulated import open_simulated, Truth\n"
        "from drivers.simulated.truth import Sensor\n"
        "core, _ = open_simulated(truth=Truth(sensor=Sensor(height_px=40, width_px=60)))\n"
        "core.setStateLabel('Slide', 'uniform')\n"
        "core.snapImage()\n"
        "print(core.getImage().shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, b"(40, 60)"), done.stderr
    assert list(tmp_path.iterdir()) == []
