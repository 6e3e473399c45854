"""The hardware as a scheduled run gets it: on a leash.

Every order is held against the limits before it is passed on, and none is passed on any more once there is a reason to
stop; then the camera is told to end and the shutter to close, at once. Putting everything back is done by whoever
started the run, with the hardware itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from threading import Lock
from typing import Any

from agent.errors import HardwareError, LimitError, RunStoppedError
from agent.quality.restore import CALL_S, Hardware
from agent.quality.scene import Scene
from agent.quality.schedule.limits import Limits

_AT_ONCE_S = 2.0
_LOOK_S = 0.25
_LOOKED_AFTER = frozenset({"ping", "look", "acquire"})
"""Orders that take no time, and the one whose giver pings all the while."""
WhyStop = Callable[[Mapping[str, Any] | None], RunStoppedError | None]


class HeldHardware:
    """Passes a run's orders on until it is stopped.

    Parameters
    ----------
    hardware : Hardware
        Whoever carries them out.
    limits : Limits
        What may be ordered.
    why_stop : callable
        Asked before every order and about every answer to a ping.
    wait, monotonic_s : callable
        How time passes, and how much of it.

    Attributes
    ----------
    stopped : RunStoppedError or None
        Why nothing more is passed on.
    """

    def __init__(
        self,
        hardware: Hardware,
        limits: Limits,
        why_stop: WhyStop,
        wait: Callable[[float], None] = time.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hardware, self._limits, self._why_stop = hardware, limits, why_stop
        self._wait, self._monotonic_s = wait, monotonic_s
        self._lock = Lock()
        self.stopped: RunStoppedError | None = None

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        """Pass an order on and return its answer.

        Raises
        ------
        RunStoppedError
            There is a reason to stop; it stays so for every further order but 'cancel'.
        HardwareError
            It could not be carried out.
        """
        if name == "cancel":
            return self._hardware.call(name, deadline_s, **args)
        self._go_on_or_stop(self.stopped or self._why_stop(None))
        self._check(name, args)
        if name in _LOOKED_AFTER:
            answer = self._hardware.call(name, deadline_s, **args)
        else:
            answer = self._watched(name, deadline_s, **args)
        if name == "ping":
            self._go_on_or_stop(self._why_stop(answer))
        elif name == "read_all":
            self._limits.learn(Scene.of(answer))
        return answer

    def sleep(self, duration_s: float) -> None:
        """Let time pass between the steps of a run, and go on looking for reasons to stop."""
        until_s = self._monotonic_s() + duration_s
        while (left_s := until_s - self._monotonic_s()) > 0:
            self.call("ping", CALL_S)
            self._wait(min(left_s, _LOOK_S))

    def _watched(self, name: str, deadline_s: float, **args: Any) -> Any:
        """Pass an order on that may take its time, look for reasons to stop meanwhile, and return its answer.

        An order that is broken off has ended when this raises: until then nothing can be put back.
        """
        with ThreadPoolExecutor(1, "scopestamp-qc-order") as thread:
            order = thread.submit(self._hardware.call, name, deadline_s, **args)
            try:
                while not wait_for([order], _LOOK_S).done:
                    self._go_on_or_stop(self._why_stop(self._hardware.call("ping", CALL_S)))
            except HardwareError:
                while not wait_for([order], _LOOK_S).done:  # what has not begun yet is not reached at once
                    self._cancel()
                raise
            return order.result()

    def _check(self, name: str, args: Mapping[str, Any]) -> None:
        try:
            self._limits.check(name, args)
        except LimitError as error:
            self._go_on_or_stop(error)

    def _go_on_or_stop(self, why: RunStoppedError | None) -> None:
        if why is None:
            return
        with self._lock:
            is_first = self.stopped is None
            self.stopped = self.stopped or why
        if is_first:
            self._let_go()
        raise self.stopped

    def _let_go(self) -> None:
        """End the exposure and close the shutter, as far as the hardware answers at once."""
        self._cancel()
        if shutter := self._limits.shutter:
            with suppress(HardwareError):
                self._hardware.call("set_property", _AT_ONCE_S, device=shutter, property="State", value="0")

    def _cancel(self) -> None:
        with suppress(HardwareError):
            self._hardware.call("cancel", _AT_ONCE_S)
