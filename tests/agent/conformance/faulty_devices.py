"""Devices written in Python, each property with one fault; loaded by ``#py`` lines of a configuration."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from drivers.mmcore.loading import fenced_import

with fenced_import():
    from pymmcore_plus.experimental.unicore import GenericDevice, pymm_property

SLOW_S = 0.05
FOREVER_S = 600.0


class Faulty(GenericDevice):
    """Device of many faults"""

    def __init__(self) -> None:
        super().__init__()
        self._silent, self._announced, self._forgetful, self._n_hanging = 1, 1, 1, 0

    @pymm_property(name="Raising")
    def raising(self) -> str:
        raise OSError("no answer from COM3 <script>alert(1)</script>")

    @pymm_property(name="Slow")
    def slow(self) -> int:
        begun = time.monotonic()
        while time.monotonic() - begun < SLOW_S:
            pass
        return 1

    @pymm_property(name="Hanging")
    def hanging(self) -> int:
        self._n_hanging += 1
        if self._n_hanging > 1:  # the first read is the one with which the configuration is loaded
            threading.Event().wait(FOREVER_S)
        return 1

    @pymm_property(name="Wrong type")
    def wrong_type(self) -> int:
        return "many"  # type: ignore[return-value]

    @pymm_property(name="Out of limits", limits=(0, 10))
    def out_of_limits(self) -> int:
        return 500

    @pymm_property(name="Not allowed", allowed_values=("A", "B"))
    def not_allowed(self) -> str:
        return "C"

    @pymm_property(name="Forgetful", allowed_values=(1, 2, 3))
    def forgetful(self) -> int:
        return self._forgetful

    @forgetful.setter
    def set_forgetful(self, value: int) -> None:
        self._forgetful = 1

    @pymm_property(name="Silent", limits=(0, 8))
    def silent(self) -> int:
        return self._silent

    @silent.setter
    def set_silent(self, value: int) -> None:
        self._silent = int(value)

    @pymm_property(name="Announced", limits=(0, 8))
    def announced(self) -> int:
        return self._announced

    @announced.setter
    def set_announced(self, value: int) -> None:
        self._announced = int(value)
        self.core.events.propertyChanged.emit(self.get_label(), "Announced", str(self._announced))

    @pymm_property(name="Refusing", allowed_values=("On", "Off"))
    def refusing(self) -> str:
        return "Off"

    @refusing.setter
    def set_refusing(self, value: str) -> None:
        if value != "Off":
            raise RuntimeError("not while the door is open")


class Crashing(GenericDevice):
    """Device that ends its process"""

    def __init__(self) -> None:
        super().__init__()
        self._value = "Off"

    @pymm_property(name="Fatal", allowed_values=("Off", "On"))
    def fatal(self) -> str:
        return self._value

    @fatal.setter
    def set_fatal(self, value: str) -> None:
        os._exit(9)

    @pymm_property(name="After", allowed_values=("Off", "On"))
    def after(self) -> str:
        return self._value

    @after.setter
    def set_after(self, value: str) -> None:
        self._value = value


class OnceOnly(Crashing):
    """Device that loads a single time"""

    def __init__(self) -> None:
        super().__init__()
        marker = Path(os.environ["ONCE_ONLY_MARKER"])
        if marker.exists():
            raise RuntimeError("switch it off and on again")
        marker.touch()


class Coupled(GenericDevice):
    """Device whose properties change each other"""

    def __init__(self) -> None:
        super().__init__()
        self._left, self._right, self._depth, self._mode = 1, 1, 16, "Slow"

    @pymm_property(name="Left", allowed_values=(1, 2))
    def left(self) -> int:
        return self._left

    @left.setter
    def set_left(self, value: int) -> None:
        self._left, self._right = int(value), 3 - int(value)

    @pymm_property(name="Right", allowed_values=(1, 2))
    def right(self) -> int:
        return self._right

    @right.setter
    def set_right(self, value: int) -> None:
        self._left, self._right = 3 - int(value), int(value)

    @pymm_property(name="Depth", allowed_values=(12, 16))
    def depth(self) -> int:
        return self._depth

    @depth.setter
    def set_depth(self, value: int) -> None:
        self._depth = int(value)

    @pymm_property(name="Mode", allowed_values=("Slow", "Fast"))
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def set_mode(self, value: str) -> None:
        self._mode, self._depth = value, 12


class Telling(GenericDevice):
    """Tells through a named pipe to what it is set"""

    def __init__(self) -> None:
        super().__init__()
        self._mode = "A"

    @pymm_property(name="Mode", allowed_values=("A", "B"))
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def _set_mode(self, value: str) -> None:
        self._mode = value
        with Path(os.environ["SCOPESTAMP_TEST_PIPE"]).open("a", encoding="utf-8") as pipe:
            pipe.write(f"{value}\n")
