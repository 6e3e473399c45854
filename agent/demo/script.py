"""What happens in the demo: two acquisitions, a hand at the microscope in between, and a QC run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.errors import HardwareError
from agent.quality.assess import routine_named
from agent.quality.run import Request
from agent.service import Supervisor

SEQUENCE: dict[str, Any] = {
    "axis_order": "pcz",
    "stage_positions": [{"x": 0, "y": 0, "z": 0, "name": "A1"}, {"x": 120, "y": 80, "z": 2, "name": "A2"}],
    "channels": [
        {"group": "Channel", "config": "DAPI", "exposure": 10},
        {"group": "Channel", "config": "FITC", "exposure": 20},
    ],
    "z_plan": {"range": 10, "step": 1},
}
N_FRAMES = 2 * 2 * 11
BY_HAND = (
    ("LightSource", "FITC-Power-percent", "30"),
    ("Camera", "ReadoutMode", "12-bit"),
    ("Diaphragm", "Label", "Half"),
    ("Slide", "Label", "multicolour beads 0.5 um"),
)
SENSOR = "512x512"
BEFORE_DEVICES_START = "Property,Core,Initialize,1"
QC_ROUTINE = "illumination"
QC_SLIDE = "uniform"
QC_EXPOSURE_MS = 10.0  # at 30 % light: about 60 % of full scale at 12 bit
_ACQUIRE_S = 600.0
_LOOK_S = 0.1


def write_configuration(path: Path) -> Path:
    """Write the simulated microscope's configuration with a sensor small enough for a quick look; return its path."""
    from drivers.simulated import CONFIGURATION

    small = f"#py Property,Stand,Sensor,{SENSOR}\n{BEFORE_DEVICES_START}"
    path.write_text(CONFIGURATION.read_text("utf-8").replace(BEFORE_DEVICES_START, small, 1), "utf-8")
    return path


def qc_request() -> Request:
    """Return the QC run of the demo."""
    return Request(routine_named(QC_ROUTINE), {"exposure_ms": QC_EXPOSURE_MS}, slide=QC_SLIDE)


def acquire(supervisor: Supervisor, output: Path, on_frames: Callable[[int], None]) -> None:
    """Run the demo's sequence into `output`; `on_frames` is told how many frames of it were stamped so far.

    Raises
    ------
    HardwareError
        The acquisition could not be run to its end.
    """
    n_before = status(supervisor)["n_frames"]
    failed: list[HardwareError] = []
    done = threading.Event()

    def work() -> None:
        try:
            supervisor.call("acquire", _ACQUIRE_S, sequence=SEQUENCE, output=str(output))
            supervisor.call("settle", _ACQUIRE_S)
        except HardwareError as error:
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="scopestamp-demo", daemon=True)
    thread.start()
    while not done.wait(_LOOK_S):
        on_frames(status(supervisor)["n_frames"] - n_before)
    thread.join()
    if failed:
        raise failed[0]
    on_frames(status(supervisor)["n_frames"] - n_before)


def change_by_hand(supervisor: Supervisor) -> None:
    """Change a few properties, as a person at the microscope would."""
    for device, name, value in BY_HAND:
        supervisor.call("set_property", 30.0, device=device, property=name, value=value)
    supervisor.call("settle", 30.0)


def status(supervisor: Supervisor) -> dict[str, Any]:
    """Return how capture fares now."""
    answer: dict[str, Any] = supervisor.call("ping", 30.0)
    return answer
