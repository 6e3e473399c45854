"""The engine of the agent's own acquisitions: it gives way when it is told to, lets stages settle, loses no frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from drivers.mmcore.exposures import LATE_S, LONG_MS, awaited, begun, is_long
from drivers.mmcore.loading import fenced_import

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

SETTLE = "settle_s"
"""Key of a sequence's metadata: one time for each of its positions."""
SETTLE_Z = "settle_z_s"
"""Key of a sequence's metadata: the time for each of its planes."""
_LOOK_S = 0.05


def _pause(duration_s: float) -> None:
    time.sleep(duration_s)


@contextmanager
def settling(engine: Any, metadata: Mapping[str, Any]) -> Iterator[None]:
    """Let an engine wait, in an acquisition that is run inside, after it has come to another position or plane.

    Parameters
    ----------
    engine : OwnEngine
        That runs it.
    metadata : mapping
        Of the sequence: says how long; where it does not, nothing is changed.
    """
    settle_s, settle_z_s = metadata.get(SETTLE, ()), float(metadata.get(SETTLE_Z, 0.0))
    if not any(settle_s) and not settle_z_s:
        yield
        return
    is_sequencing = engine.use_hardware_sequencing
    engine.settle_s, engine.settle_z_s, engine.use_hardware_sequencing = settle_s, settle_z_s, False
    try:
        yield
    finally:
        engine.settle_s, engine.settle_z_s, engine.use_hardware_sequencing = (), 0.0, is_sequencing


@contextmanager
def emptied(core: Any) -> Iterator[None]:
    """Let a camera count as running, inside, until all its images are taken.

    pymmcore-plus asks whether images wait and then whether the camera runs: the last image of a burst, when it comes
    between the two questions, is left behind (1 in 1000 bursts on a busy machine, with 0.18; its issue 625).
    """
    is_running = partial(type(core).isSequenceRunning, core)
    core.isSequenceRunning = lambda *camera: is_running(*camera) or core.getRemainingImageCount() > 0
    try:
        yield
    finally:
        vars(core).pop("isSequenceRunning", None)


def own_engine(core: CMMCorePlus) -> Any:
    """Return an engine for a core that is ours."""
    with fenced_import():
        from pymmcore_plus.mda import MDAEngine

    class OwnEngine(MDAEngine):
        """Breaks off long exposures and long ways, waits where a place is new, and takes the last image of a burst."""

        settle_s: Sequence[float] = ()
        settle_z_s = 0.0
        _place: tuple[Any, Any] | None = None
        _z_um: float | None = None

        def setup_sequence(self, sequence: Any) -> Any:
            self._place = self._z_um = None
            return super().setup_sequence(sequence)

        def event_iterator(self, events: Iterable[Any]) -> Iterator[Any]:
            for event in super().event_iterator(events):
                # A burst notices that it is cancelled when a frame comes: those of long exposures are taken one by one.
                together = getattr(event, "events", ())
                exposure_ms = event.exposure or self.mmcore.getExposure()
                yield from together if together and exposure_ms > LONG_MS else (event,)

        def setup_single_event(self, event: Any) -> None:
            super().setup_single_event(event)
            if (event.x_pos, event.y_pos, event.z_pos) != (None, None, None):
                self._arrive()

        def setup_event(self, event: Any) -> None:
            super().setup_event(event)
            self._settle(max(self._place_s(event), self._plane_s(event)))

        def exec_single_event(self, event: Any) -> Iterator[Any]:
            core = self.mmcore
            if self._is_cancelled():
                return
            if event.slm_image is not None or not is_long(core) or not begun(core):
                yield from super().exec_single_event(event)
                return
            frame = awaited(core, self._is_cancelled)
            if frame is None:
                return
            if not event.keep_shutter_open and self._autoshutter_was_set:
                core.setShutterOpen(False)
            yield frame, event, self._told_of(event)

        def exec_sequenced_event(self, event: Any) -> Iterator[Any]:
            with emptied(self.mmcore):
                yield from super().exec_sequenced_event(event)

        def _told_of(self, event: Any) -> Any:
            """Return a frame's metadata, as of a snap."""
            began_s = event.metadata.get("runner_t0") or time.perf_counter()
            return self.get_frame_metadata(
                event,
                runner_time_ms=(time.perf_counter() - began_s) * 1e3,
                camera_device=self.mmcore.getPhysicalCameraDevice(0),
                include_position=self.include_frame_position_metadata is not False,
            )

        def _is_cancelled(self) -> bool:
            return self.mmcore.mda.status.cancel_requested

        def _arrive(self) -> None:
            """Wait for the stages as long as the core would, and stop them when the acquisition is cancelled."""
            core = self.mmcore
            until_s = time.monotonic() + core.getTimeoutMs() / 1e3
            for stage in filter(None, (core.getXYStageDevice(), core.getFocusDevice())):
                while core.deviceBusy(stage) and time.monotonic() < until_s:
                    if self._is_cancelled():
                        core.stop(stage)
                        break
                    time.sleep(_LOOK_S)

        def _place_s(self, event: Any) -> float:
            """Return how long to wait for the place of a frame: nothing where the one before was there."""
            before, self._place = self._place, (event.index.get("t"), event.index.get("p"))
            if not self.settle_s or self._place == before:
                return 0.0
            return float(self.settle_s[event.index.get("p", 0) % len(self.settle_s)])

        def _plane_s(self, event: Any) -> float:
            before, self._z_um = self._z_um, event.z_pos
            return self.settle_z_s if event.z_pos not in (None, before) else 0.0

        def _settle(self, remaining_s: float) -> None:
            while remaining_s > 0 and not self._is_cancelled():
                _pause(min(remaining_s, _LOOK_S))
                remaining_s -= _LOOK_S

    # by default 5 s, which a disk that is slow for once takes, too
    return OwnEngine(core, timeout_base=LATE_S, timeout_first_frame=None)
