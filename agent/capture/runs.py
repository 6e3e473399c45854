"""The acquisitions of one capture: those that run, and those that wait for the state after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
from drivers import FrameSeen, Hardware, Key, PropertyReading, SequenceFinished, SequenceStarted

UNANNOUNCED = 0  # key of a run whose start was not seen


class Runs:
    """Keeps the acquisitions; every method is called on the capture thread.

    Parameters
    ----------
    mint, publisher, closer, poller
        The capture's own.
    session : JournalSession
        Where journals are opened.
    n_lost : callable
        Says how many events the capture's queue has lost so far.
    after_deadline_s : float
        How long the hardware may take to tell the state after a run.
    """

    def __init__(
        self,
        mint: Mint,
        publisher: Publisher,
        closer: Closer,
        poller: Poller,
        session: JournalSession,
        n_lost: Callable[[], int],
        after_deadline_s: float,
    ) -> None:
        self._mint, self._publisher, self._closer, self._poller = mint, publisher, closer, poller
        self._session, self._n_lost, self._after_deadline_s = session, n_lost, after_deadline_s
        self._running: dict[int, OpenAcquisition] = {}
        self._ending: list[OpenAcquisition] = []
        self.n_frames = 0

    @property
    def is_any_running(self) -> bool:
        """Whether frames of an acquisition are being taken."""
        return bool(self._running)

    @property
    def n_ending(self) -> int:
        """How many have ended and wait for the state after them."""
        return len(self._ending)

    @property
    def is_any_open(self) -> bool:
        """Whether any is running or waits for the state after it."""
        return bool(self._running or self._ending)

    def note_moved(self, moved: Mapping[str, Cause]) -> None:
        """Note which devices were moved while acquisitions ran."""
        for run in self._running.values():
            run.moved.update(moved)

    def start(
        self, event: SequenceStarted, hardware: Hardware, before: Mapping[Key, PropertyReading]
    ) -> None:
        """Open an acquisition."""
        now = self._mint.clock.wall_at()
        moment = self._mint.instant(event.moment)
        started = self._mint.make(
            AcquisitionStarted,
            acquisition_id=uuid4(),
            started=moment,
            plan=plan_of(event.plan(), hardware, now),
            images=tuple(image_of(image, now) for image in event.images()),
            before=state_of(before.values(), moment, 0.0),
            outputs=event.outputs,
        )
        self._open(event.sequence_key, started, before)

    def add_frame(self, frame: FrameSeen, known: Callable[[], Mapping[Key, PropertyReading]]) -> None:
        """Stamp a frame; `known` tells the state when the run's start was not seen."""
        run = next(reversed(self._running.values()), None) or self._open_unannounced(frame, known())
        run.add_frame(frame)
        self.n_frames += 1
        if batch := run.take_batch(self._mint, frame.moment.monotonic_ns):
            self._publisher.publish(batch)

    def end(self, event: SequenceFinished) -> bool:
        """Note the end of a run and ask for the state after it; return False when no such run is open."""
        run = self._running.pop(event.sequence_key, None) or self._running.pop(UNANNOUNCED, None)
        if run is None:
            return False
        run.finished = event
        finished = self._mint.instant(event.moment)
        run.journal.end(event.reason, finished.wall_at.isoformat(), finished.monotonic_ns)
        if batch := run.take_batch(self._mint, event.moment.monotonic_ns, is_last=True):
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
            if batch := run.take_batch(self._mint, now_ns):
                self._publisher.publish(batch)

    def _open(
        self, key: int, started: AcquisitionStarted, before: Mapping[Key, PropertyReading]
    ) -> OpenAcquisition:
        journal = self._session.open(started.acquisition_id, started)
        run = OpenAcquisition(started, journal, before, self._n_lost(), time.monotonic_ns())
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

    def _hand_over(self, run: OpenAcquisition, after: Readings | None) -> None:
        assert run.finished is not None
        self._ending.remove(run)
        run.journal.close()
        n_lost = self._n_lost() - run.n_lost_before
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
                    "capture_overflow": n_lost,
                    "unstamped": n_lost,
                },
                problems=run.problems,
                remove=run.journal.remove,
            )
        )
