"""An acquisition that waits after its stages have moved, as protocols of stages want it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from drivers.mmcore.loading import fenced_import

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

SETTLE = "settle_s"
"""Key of a sequence's metadata: one time for each of its positions."""
_LOOK_S = 0.05


def _pause(duration_s: float) -> None:
    time.sleep(duration_s)


@contextmanager
def settling(core: CMMCorePlus, settle_s: Sequence[float]) -> Iterator[None]:
    """Let the core wait, in an acquisition that is run inside, after it has come to another position.

    Parameters
    ----------
    core : CMMCorePlus
        Whose engine is exchanged meanwhile.
    settle_s : sequence of float
        For each position; empty: nothing is changed.
    """
    if not any(settle_s):
        yield
        return
    before = core.mda.set_engine(_settling_engine(core, settle_s))
    try:
        yield
    finally:
        if before is not None:
            core.mda.set_engine(before)


def _settling_engine(core: CMMCorePlus, settle_s: Sequence[float]) -> Any:
    with fenced_import():
        from pymmcore_plus.mda import MDAEngine

    class SettlingEngine(MDAEngine):
        """Waits where a place is new; a wait ends early when the acquisition is cancelled."""

        _place: tuple[Any, Any] | None = None

        def setup_event(self, event: Any) -> None:
            super().setup_event(event)
            place = (event.index.get("t"), event.index.get("p"))
            if place != self._place:
                self._place = place
                self._settle(float(settle_s[event.index.get("p", 0) % len(settle_s)]))

        def _settle(self, remaining_s: float) -> None:
            while remaining_s > 0 and not self.mmcore.mda.status.cancel_requested:
                _pause(min(remaining_s, _LOOK_S))
                remaining_s -= _LOOK_S

    return SettlingEngine(core, use_hardware_sequencing=False)
