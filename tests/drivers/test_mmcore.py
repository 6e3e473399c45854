"""What is particular to Micro-Manager's core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers import ConfigurationError, ConfigurationLoaded, Key, PropertyMoved
from drivers.mmcore import MMCoreDriver, load_core
from drivers.registry import open_driver


def test_hardware_is_left_alone_while_a_configuration_loads(
    make_core: Callable[..., Any], listening: Any
) -> None:
    core = make_core()
    driver = MMCoreDriver(core)
    driver.describe()
    busy: list[bool] = []

    def listener(event: object) -> bool:
        if isinstance(event, PropertyMoved) and event.reading.key == Key("Core", "Initialize"):
            busy.append(driver.is_busy())
        return listening(event)

    driver.listen(listener)
    core.loadSystemConfiguration(core.systemConfigurationFile())
    # The end of the loading before may be told only now, so what is asked for is how it ends.
    listening.wait_for(lambda event: isinstance(event, ConfigurationLoaded) and busy[-2:] == [True, False])
    driver.stop_listening()
    assert not driver.is_busy()


def test_hardware_is_left_alone_while_the_engine_puts_it_back(
    make_core: Callable[..., Any], listening: Any
) -> None:
    from pymmcore_plus.mda import MDAEngine
    from useq import MDASequence

    busy: list[bool] = []

    class Watched(MDAEngine):
        def teardown_sequence(self, sequence: MDASequence) -> None:
            busy.append(driver.is_busy())
            super().teardown_sequence(sequence)

    core = make_core()
    driver = MMCoreDriver(core)
    driver.describe()
    driver.listen(listening)
    core.mda.set_engine(Watched(core))
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 2}))
    driver.stop_listening()
    assert busy == [True]
    assert not driver.is_busy()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "was not found"),
        ("Device,X,NoSuchLibrary,Y\n", r"not installed: NoSuchLibrary \(line 1\)"),
        ("Device,X,DemoCamera,NoSuchDevice\n", "did not load"),
    ],
    ids=["missing", "no library", "no device"],
)
def test_configuration_that_does_not_load_says_why(
    make_core: Any, tmp_path: Path, text: str | None, why: str
) -> None:
    path = tmp_path / "scope.cfg"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        load_core(path)


def test_unknown_driver_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no driver 'nobody'"):
        open_driver("nobody", "demo")
