"""The simulated stages as Micro-Manager devices; they emit where they are, as real adapters do."""

from __future__ import annotations

from drivers.mmcore.loading import fenced_import
from drivers.simulated.bench import standing
from drivers.simulated.stage import AxisMotor
from drivers.simulated.truth import Axis

with fenced_import():
    from pymmcore_plus.core import FocusDirection
    from pymmcore_plus.experimental.unicore import StageDevice, XYStageDevice, pymm_property


class XYStage(XYStageDevice):
    """Simulated motorised XY stage"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def set_position_um(self, x: float, y: float) -> None:
        stage = self.microscope.truth.stage
        _check_reach(self.get_label(), x, stage.x)
        _check_reach(self.get_label(), y, stage.y)
        self.microscope.x.move(float(x), stage.x)
        self.microscope.y.move(float(y), stage.y)
        self.core.events.XYStagePositionChanged.emit(self.get_label(), *self.get_position_um())

    def get_position_um(self) -> tuple[float, float]:
        stage = self.microscope.truth.stage
        return self.microscope.x.reported_um(stage.x), self.microscope.y.reported_um(stage.y)

    def busy(self) -> bool:
        return not (self.microscope.x.has_arrived() and self.microscope.y.has_arrived())

    def home(self) -> None:
        self.set_position_um(0.0, 0.0)

    def stop(self) -> None:
        """Moves are short; none is ever cut off."""

    def set_origin_x(self) -> None:
        raise NotImplementedError(
            "The simulated stage's coordinates are the slide's; they stay where they are."
        )

    set_origin_y = set_origin_x


class ZStage(StageDevice):
    """Simulated focus drive"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def set_position_um(self, val: float) -> None:
        axis = self.microscope.truth.stage.z
        _check_reach(self.get_label(), val, axis)
        if not self.microscope.focus_is_locked:
            self._motor.move(float(val), axis)
        self.core.events.stagePositionChanged.emit(self.get_label(), self.get_position_um())

    def get_position_um(self) -> float:
        return self._motor.reported_um(self.microscope.truth.stage.z)

    @property
    def _motor(self) -> AxisMotor:
        return self.microscope.z

    @pymm_property(name="Position")
    def position(self) -> float:
        return self.get_position_um()

    @position.setter
    def set_position(self, value: float) -> None:
        self.set_position_um(float(value))

    def busy(self) -> bool:
        return not self._motor.has_arrived()

    def get_focus_direction(self) -> FocusDirection:
        return FocusDirection.TowardSample

    def set_focus_direction(self, sign: int) -> None:
        """The direction is known and stays; a configuration file may repeat it."""

    def home(self) -> None:
        self.set_position_um(0.0)

    def stop(self) -> None:
        """Moves are short; none is ever cut off."""

    def set_origin(self) -> None:
        raise NotImplementedError("The simulated drive's zero is the focus of the 60x; it stays where it is.")


def _check_reach(label: str, target_um: float, axis: Axis) -> None:
    if abs(float(target_um)) > axis.reach_um:
        raise ValueError(
            f"{label} reaches {axis.reach_um:g} um either way; {float(target_um):g} um is too far."
        )
