"""A driver that owns its hardware moves it, focuses it and takes single frames."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from drivers import DriverError, How, Key
from drivers.mmcore import OwningMMCoreDriver

PLAN = {
    "channels": [{"group": "Channel", "config": "DAPI", "exposure": 1}],
    "z_plan": {"range": 2, "step": 1},
}


@pytest.fixture
def driver(make_core: Callable[..., Any]) -> OwningMMCoreDriver:
    return OwningMMCoreDriver(make_core())


def test_move_waits_until_the_stages_stand(driver: OwningMMCoreDriver) -> None:
    driver.describe()
    driver.move({"x": 40.0, "z": 1.5}, timeout_s=60)
    read = [
        driver.read(Key(*key), How.HARDWARE).value for key in (("XY", "@x"), ("XY", "@y"), ("Z", "@position"))
    ]
    assert read == pytest.approx([40.0, 0.0, 1.5], abs=0.05)


@pytest.mark.parametrize("position", [{"w": 1.0}, {"x": "far"}])
def test_move_raises_for_what_is_no_place(driver: OwningMMCoreDriver, position: dict[str, Any]) -> None:
    with pytest.raises(DriverError):
        driver.move(position, timeout_s=60)


def test_snap_gives_a_frame_of_that_exposure(driver: OwningMMCoreDriver) -> None:
    driver.describe()
    frame = driver.snap(7.0)
    assert frame.ndim == 2
    assert driver.read(Key("Camera", "@exposure"), How.HARDWARE).value == pytest.approx(7.0)
    assert int(frame.max()) < 2 ** driver.bit_depth()


def test_last_frame_is_that_of_the_acquisition(driver: OwningMMCoreDriver, listening: Any) -> None:
    driver.describe()
    driver.listen(listening)
    assert driver.last_frame() is None
    driver.acquire(PLAN, None)
    frame = driver.last_frame()
    assert frame is not None and frame.shape == driver.snap(1.0).shape


def test_sequences_that_were_run_are_not_kept_for_ever(driver: OwningMMCoreDriver) -> None:
    from useq import MDASequence

    def kept() -> int:
        gc.collect()
        return sum(isinstance(one, MDASequence) for one in gc.get_objects())

    driver.acquire(PLAN, None)
    before = kept()
    for _ in range(3):
        driver.acquire(PLAN, None)
    assert kept() <= before


def test_acquire_waits_where_its_metadata_says(
    driver: OwningMMCoreDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("drivers.mmcore.engine._pause", waited.append)
    places = [{"x": 0, "y": 0}, {"x": 20, "y": 0}]
    driver.acquire(
        {
            "stage_positions": places,
            "time_plan": {"interval": 0.001, "loops": 2},
            "metadata": {"settle_s": [0, 0.1]},
        },
        None,
    )
    assert sum(waited) == pytest.approx(0.2)


def test_acquire_waits_for_each_plane_once_however_many_channels_are_taken_there(
    driver: OwningMMCoreDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("drivers.mmcore.engine._pause", waited.append)
    stack = {
        "axis_order": "tpzc",
        "channels": ["DAPI", "FITC"],
        "z_plan": {"range": 2, "step": 1},
        "metadata": {"settle_z_s": 0.04},
    }
    driver.acquire(stack, None)
    assert waited == pytest.approx([0.04] * 3)
    waited.clear()
    driver.acquire({**stack, "metadata": {}}, None)
    assert waited == []
