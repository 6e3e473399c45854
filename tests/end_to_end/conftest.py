"""What the closed loops of quality control share: the simulated microscope on a core of its own, and a run on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agent.hardware import HardwareProcess
    from agent.local import Local
    from agent.quality.run import Outcome
    from agent.settings import AgentSettings


@pytest.fixture(scope="module")
def settings_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], AgentSettings]:
    """Settings of a simulated microscope whose camera has so many rows and columns."""

    def made(rows: int, columns: int) -> AgentSettings:
        from agent.settings import AgentSettings
        from drivers.simulated import CONFIGURATION

        folder = tmp_path_factory.mktemp("qc")
        # warm, because a computer under load would see more of drift and lamp than another
        stand = f"#py Property,Stand,Sensor,{rows}x{columns}\n#py Property,Stand,OnFor-h,12\nProperty,Core,Initialize,1"
        text = CONFIGURATION.read_text("utf-8").replace("Property,Core,Initialize,1", stand, 1)
        (folder / "microscope.cfg").write_text(text, "utf-8")
        hardware = {"driver": "simulated", "config_file": str(folder / "microscope.cfg")}
        return AgentSettings.model_validate({"data_dir": str(folder / "data"), "hardware": hardware})

    return made


@pytest.fixture(scope="module")
def microscope(settings: AgentSettings) -> Iterator[tuple[HardwareProcess, Local]]:
    """The hardware process with the microscope of the module's `settings`, and where its runs are kept."""
    from agent.quality.run import own_hardware

    with own_hardware(settings, settings.data_path) as opened:
        yield opened


@pytest.fixture
def run(microscope: tuple[HardwareProcess, Local]) -> Callable[..., Outcome]:
    """Run a routine, with a fault switched on or without."""
    from agent.quality.assess import routine_named
    from agent.quality.run import Request, run_routine
    from drivers.simulated import FAULTS

    def run_one(name: str, slide: str, fault: str = "", **more: Any) -> Outcome:
        properties = dict(more.pop("properties", {}))
        watcher = more.pop("watcher", None)
        if fault:
            assert fault in FAULTS
            properties["Faults", fault] = "On"
        request = Request(routine_named(name), slide=slide, properties=properties, **more)
        return run_routine(*microscope, request, watcher)

    return run_one
