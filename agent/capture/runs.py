"""The acquisitions of one capture: those that run, and those that wait for the state after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import uuid4

from agent.capture.acquisition import OpenAcquisition
from agent.capture.close import Closer, Ending
from agent.capture.convert import image_of, plan_of, state_of
from agent.capture.journal import JournalSession
from agent.capture.poll import Poller, Readings
from agent.capture.publish import Publisher
from agent.capture.state import difference
from agent.mint import Mint
from agent.records import AcquisitionPlan, AcquisitionStarted, Cause, FinishReason
from agent.supervise import shielded
from drivers import (
    FrameSeen,
    Hardware,
    Key,
    Moment,
    PropertyReading,
    SequenceFinished,
    SequencePlan,
    SequenceStarted,
)

UNANNOUNCED = 0  # key of a run whose start was not seen
Told = TypeVar("Told")


class Runs:
    """Keeps the acquisitions; every method is called on the capture thread.

    Parameters
    ----------
    mint, publisher, closer, poller
        The capture's own.
    session : JournalSession
        Where journals are opened.
    after_deadline_s : float
        How long the hardware may take to tell the state after a run.
    profile_sha256 : str, optional
        Names the instrument profile that holds.
    """

    def __init__(
        self,
        mint: Mint,
        publisher: Publisher,
        closer: Closer,
        poller: Poller,
        session: JournalSession,
        after_deadline_s: float,
        profile_sha256: str | None = None,
    ) -> None:
        self._mint, self._publisher, self._closer, self._poller = mint, publisher, closer, poller
        self._session, self._after_deadline_s = session, after_deadline_s
        self._profile_sha256 = profile_sha256
        self._running: dict[int, OpenAcquisition] = {}
        self._ending: list[OpenAcquisition] = []
        self.n_frames = 0

    @property
    def is_any_running(self) -> bool:
        """Whether frames of an acquisition are being taken."""
        return bool(self._running)

    @property
    def newest(self) -> OpenAcquisition | None:
        """The acquisition that began last, of those that are running."""
        return next(reversed(self._running.values()), None)

    def silent_s(self, now_ns: int) -> float:
        """Return for how long the newest run has been longer without a frame than its plan explains."""
        return run.silent_s(now_ns) if (run := self.newest) else 0.0

    @property
    def n_ending(self) -> int:
        """How many have ended and wait for the state after them."""
        return len(self._ending)

    @property
    def is_any_open(self) -> bool:
        """Whether any is running or waits for the state after it."""
        return bool(self._running or self._ending)

    def note_moved(self, moved: Mapping[str, Cause]) -> None:
        """Note which devices were moved since acquisitions began whose state after is not known yet."""
        for run in (*self._running.values(), *self._ending):
            run.note_moved(moved)

    def note_lost(self, n_events: int) -> None:
        """Note that events found no room in the queue."""
        for run in self._running.values():
            run.n_lost += n_events

    def start(
        self, event: SequenceStarted, hardware: Hardware, before: Mapping[Key, PropertyReading]
    ) -> None:
        """Open an acquisition."""
        for left in list(self._running):
            self._end_unseen(left, event.moment)
        problems: list[str] = []
        nothing = SequencePlan(axes={}, n_frames=None)
        plan = _told(event.plan, "plan", nothing, problems)
        now = self._mint.clock.wall_at()
        moment = self._mint.instant(event.moment)
        started = self._mint.make(
            AcquisitionStarted,
            acquisition_id=uuid4(),
            started=moment,
            plan=plan_of(plan, hardware, now),
            images=tuple(image_of(image, now) for image in _told(event.images, "images", (), problems)),
            before=state_of(before.values(), moment, 0.0),
            outputs=_told(event.outputs, "outputs", (), problems),
        )
        run = self._open(event.sequence_key, started, before)
        run.problems += problems
        run.longest_pause_s, run.seen_ns = plan.longest_pause_s, event.moment.monotonic_ns

    def add_frame(self, frame: FrameSeen, known: Callable[[], Mapping[Key, PropertyReading]]) -> None:
        """Stamp a frame; `known` tells the state when the run's start was not seen."""
        run = next(reversed(self._running.values()), None) or self._open_unannounced(frame, known())
        run.add_frame(frame)
        self.n_frames += 1
        if batch := run.take_batch(frame.moment.monotonic_ns):
            self._publisher.publish(batch)

    def end(self, event: SequenceFinished) -> bool:
        """Note the end of a run and ask for the state after it; return False when no such run is open."""
        run = self._running.pop(event.sequence_key, None) or self._running.pop(UNANNOUNCED, None)
        if run is None:
            return False
        run.finished = event
        finished = self._mint.instant(event.moment)
        run.journal.end(event.reason, finished.wall_at.isoformat(), finished.monotonic_ns)
        if batch := run.take_batch(event.moment.monotonic_ns, is_last=True):
            self._publisher.publish(batch)
        self._ending.append(run)
        self._poller.ask(run)
        return True

    def close(self, run: OpenAcquisition, after: Readings) -> None:
        """Hand a run over to be hashed and stamped, with the state after it."""
        if run not in self._ending:
            return  # given up before the hardware answered
        if not after.is_complete:
            run.problems.append(
                "Another acquisition began at once: part of the state after is from the core's cache."
            )
        self._hand_over(run, after)

    def give_up_overdue(self, now_ns: int, *, is_last: bool) -> None:
        """Close runs whose state after did not come in time, or never will because the agent stops."""
        for run in list(self._ending):
            assert run.finished is not None
            waited_s = (now_ns - run.finished.moment.monotonic_ns) / 1e9
            if is_last or waited_s > self._after_deadline_s:
                run.problems.append(
                    "The agent was stopped before it could read the state after."
                    if is_last
                    else f"The hardware did not tell the state after within {self._after_deadline_s:g} s."
                )
                self._hand_over(run, None)

    def flush(self, now_ns: int) -> None:
        """Sync the journals, and publish batches that have waited long enough."""
        for run in self._running.values():
            run.journal.flush()
            if batch := run.take_batch(now_ns):
                self._publisher.publish(batch)

    def write_journals(self) -> None:
        """Write what the journals noted, so that it outlives the process."""
        for run in self._running.values():
            run.journal.write()

    def close_journals(self) -> None:
        """Close the files of journals whose acquisition still runs; the next start finds them."""
        for run in self._running.values():
            run.journal.close()

    def _open(
        self, key: int, started: AcquisitionStarted, before: Mapping[Key, PropertyReading]
    ) -> OpenAcquisition:
        journal = self._session.open(started.acquisition_id, started)
        run = OpenAcquisition(started, journal, before, time.monotonic_ns())
        self._running[key] = run
        self._publisher.publish(started)
        return run

    def _open_unannounced(self, frame: FrameSeen, before: Mapping[Key, PropertyReading]) -> OpenAcquisition:
        """Open an acquisition whose start was not seen, because the agent came later."""
        moment = self._mint.instant(frame.moment)
        started = self._mint.make(
            AcquisitionStarted,
            acquisition_id=uuid4(),
            started=moment,
            plan=AcquisitionPlan(axes={}),
            before=state_of(before.values(), moment, 0.0),
        )
        run = self._open(UNANNOUNCED, started, before)
        run.problems.append("The agent came after the start: the plan and the first frames are not known.")
        return run

    def _end_unseen(self, key: int, moment: Moment) -> None:
        run = self._running[key]
        run.problems.append("Its end was not seen; it had ended when the next acquisition began.")
        self.end(SequenceFinished(moment, key, FinishReason.INTERRUPTED, run.n_frames))

    def _hand_over(self, run: OpenAcquisition, after: Readings | None) -> None:
        assert run.finished is not None
        self._ending.remove(run)
        run.journal.close()
        if run.journal.error is not None:
            run.problems.append(f"The journal could not be written to its end: {run.journal.error}.")
        readings = {reading.key: reading for reading in after.readings} if after else {}
        self._closer.close(
            Ending(
                started=run.started,
                reason=FinishReason(run.finished.reason),
                n_frames=run.n_frames,
                folder=run.journal.folder,
                fields={
                    "finished": self._mint.instant(run.finished.moment),
                    "after": after
                    and state_of(readings.values(), self._mint.instant(after.moment), after.duration_ms),
                    "changed": difference(run.before, readings, run.moved, self._mint),
                    "capture_overflow": run.n_lost,
                    "unstamped": run.n_unstamped,
                    "profile_sha256": self._profile_sha256,
                },
                problems=run.problems,
                wait_written=run.finished.wait_written,
                remove=run.journal.remove,
            )
        )


def _told(tell: Callable[[], Told], what: str, nothing: Told, problems: list[str]) -> Told:
    """Return what a driver tells of a run; a run of which it cannot tell something is captured all the same."""
    told = shielded(tell, f"reading the {what} of an acquisition")
    if told is None:
        problems.append(f"The {what} could not be read.")
        return nothing
    return told
