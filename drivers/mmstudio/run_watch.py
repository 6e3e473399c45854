"""The acquisition that is under way: its beginning, its frames and its end, told as they are noticed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from drivers.events import FrameSeen, SequenceFinished, SequenceStarted
from drivers.mmstudio.bridge import JavaObject
from drivers.mmstudio.runs import images_of, plan_of, stamp_of
from drivers.mmstudio.session import Session
from drivers.mmstudio.state_watch import StateWatch, Tell
from drivers.mmstudio.words import State
from drivers.readings import Key, Moment, SequencePlan

_UNFROZEN_S = 10.0  # a run that ended and whose dataset is not complete by then counts as complete


@dataclass
class Run:
    """An acquisition that is under way."""

    key: int
    plan: SequencePlan
    n_seen: int = 0
    ended_ns: int | None = None
    provider: JavaObject | None = None
    moves: frozenset[Key] = frozenset()  # what its channels move from frame to frame


class RunWatch:
    """Keeps the run that is under way, in whichever way it was noticed.

    Parameters
    ----------
    tell : callable
        Takes the events.
    states : StateWatch
        Knows the instrument.

    Attributes
    ----------
    run : Run or None
        None between acquisitions.
    """

    def __init__(self, tell: Tell, states: StateWatch) -> None:
        self._tell, self._states = tell, states
        self.run: Run | None = None
        self._n_runs = 0
        self._told_state: Mapping[Key, str] | None = None

    def start(
        self,
        session: Session,
        at: Moment,
        settings: Mapping[str, Any] | str | None,
        summary: Mapping[str, Any],
        outputs: tuple[str, ...],
        state: State | None,
    ) -> Run:
        """Tell that a run begins, and keep it; one that was under way has been interrupted."""
        self.interrupt(at)
        self._n_runs += 1
        plan = plan_of(settings, summary)
        self.run = run = Run(self._n_runs, plan, moves=self._moved_by(plan))
        self._told_state = None
        values = state.values if state else {}
        camera = values.get(Key("Core", "Camera"))
        bits = session.face.bit_depth()
        self._tell(
            SequenceStarted(
                moment=at,
                sequence_key=run.key,
                plan=lambda: run.plan,
                images=partial(images_of, summary, str(camera) if camera else None, bits),
                readings=partial(self._states.readings, session, state, summary),
                outputs=lambda: outputs,
            )
        )
        return run

    def see_frame(self, event: Mapping[str, Any], at: Moment, state: State | None) -> None:
        """Tell of a frame, with the state when it is news."""
        if self.run is None:  # the agent came after the start
            self._n_runs += 1
            self.run = Run(self._n_runs, SequencePlan(axes={}, n_frames=None))
        self.run.n_seen += 1
        values = self._news(state)
        is_told = self._tell(FrameSeen(at, partial(stamp_of, dict(event), self.run.plan), values))
        if is_told and values is not None:
            self._told_state = values

    def freeze(self, at: Moment, n_images: int | None) -> None:
        """End the run: its dataset is complete."""
        if self.run is not None:
            self.finish(at, self._reason(n_images), max(n_images or 0, self.run.n_seen))

    def finish_unfrozen(self) -> None:
        """End a run whose dataset never says that it is complete."""
        ended_ns = self.run.ended_ns if self.run is not None else None
        if ended_ns is not None and time.monotonic_ns() - ended_ns > _UNFROZEN_S * 1e9:
            self.freeze(Moment.now(), None)

    def end(self, at: Moment, n_images: int | None) -> None:
        """End the run as the number of its images tells."""
        self.finish(at, self._reason(n_images), n_images or 0)

    def interrupt(self, at: Moment) -> None:
        """End the run, if one is under way, before its time."""
        if self.run is not None:
            self.finish(at, "interrupted", self.run.n_seen)

    def finish(self, at: Moment, reason: str, n_frames: int) -> None:
        """Tell that the run is over."""
        assert self.run is not None
        run, self.run = self.run, None
        self._states.forget_values()  # what the run moved stands in its own record
        self._tell(SequenceFinished(at, run.key, reason, n_frames))

    def _news(self, state: State | None) -> Mapping[Key, str] | None:
        """Return the values to send with a frame: all of them when any changed since they were sent last.

        What the run's own channels move is left out: by the time the state is read, another frame may have moved it on. Of
        that, each frame's channel tells.
        """
        if state is None or self.run is None:
            return None
        kept = self._states.known.followed
        values = {k: str(v) for k, v in state.values.items() if k in kept and k not in self.run.moves}
        return values if values != self._told_state else None

    def _moved_by(self, plan: SequencePlan) -> frozenset[Key]:
        """Return what moves from frame to frame: the settings of the channels, and the exposure."""
        hardware = self._states.known.hardware
        presets = [hardware.preset(channel.group, channel.preset) for channel in plan.channels]
        cameras = (
            label for label, device in hardware.devices.items() if device.device_type == "CameraDevice"
        )
        moved = {key for preset in presets if preset for key in preset.settings}
        return frozenset(moved | {Key(label, "Exposure") for label in cameras})

    def _reason(self, n_images: int | None) -> str:
        """Return how a run ended, as far as the number of its images tells."""
        assert self.run is not None
        expected = self.run.plan.n_frames
        is_short = expected is not None and n_images is not None and n_images < expected
        return "canceled" if is_short else "completed"
