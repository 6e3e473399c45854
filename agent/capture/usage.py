"""Sessions of use: who had the instrument in hand, from when to when, and what was done with it.

A session begins with a person's first touch: a device moved by software or by hand, a snap, live mode, an acquisition. It
ends with the last touch before a gap, when the person logs out, or when somebody else logs in. While live mode or an
acquisition runs there is no gap: an acquisition overnight is use by whoever started it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4

from agent.capture.usage_journal import UsageJournal
from agent.mint import Mint
from agent.people import Person, console_user
from agent.privacy import Privacy
from agent.records import UsageSession
from drivers import (
    Hardware,
    ImageSnapped,
    Key,
    LiveToggled,
    Moment,
    PresetSet,
    PropertyMoved,
    PropertyReading,
)

MOST_ACQUISITIONS_NAMED = 1000
_LOOK_NS = 5_000_000_000  # who is logged in is asked so often
_KEEP_NS = 10_000_000_000  # a session reaches the disk so often
_MOVED_BY_HAND = ("@position", "@x", "@y", "State", "Label")
_AUTO_SHUTTER = Key("Core", "AutoShutter")

Ended = Literal["idle", "logout", "other_user", "agent_stopped", "interrupted"]


@dataclass(frozen=True)
class UsageOptions:
    """How sessions of use are recorded; see the [usage] and [privacy] sections of the settings.

    Attributes
    ----------
    who : callable
        Tells who is at the computer.
    """

    idle_gap_s: float = 1800.0
    privacy: Privacy = field(default_factory=lambda: Privacy("omitted"))
    who: Callable[[], Person | None] = console_user


@dataclass
class OpenSession:
    """A session that goes on."""

    person: Person | None
    began: Moment
    last: Moment
    session_id: UUID = field(default_factory=uuid4)
    devices: dict[str, int] = field(default_factory=dict)
    acquisition_ids: list[UUID] = field(default_factory=list)
    n_acquisitions: int = 0
    n_frames: int = 0
    acquiring_ns: int = 0
    n_snaps: int = 0
    n_live: int = 0
    live_ns: int = 0
    most_live_frames: float | None = None
    shutter_ns: int | None = None


def shutters_of(hardware: Hardware) -> frozenset[str]:
    """Return the labels of the shutters."""
    devices = hardware.devices.items()
    return frozenset(label for label, device in devices if device.device_type == "ShutterDevice")


class UsageTracker:
    """Derives sessions of use from what the hardware tells; every method is called on the capture thread.

    Parameters
    ----------
    options : UsageOptions
    mint : Mint
    publish : callable
        Takes a finished session; returns whether it is safe on disk.
    journal : UsageJournal
        Keeps the open session on disk.
    known : callable
        Returns the last known reading of everything.
    shutters : callable
        Returns the labels of the shutters.
    """

    def __init__(
        self,
        options: UsageOptions,
        mint: Mint,
        publish: Callable[[UsageSession], bool],
        journal: UsageJournal,
        known: Callable[[], dict[Key, PropertyReading]],
        shutters: Callable[[], frozenset[str]],
    ) -> None:
        self._options, self._mint, self._publish, self._journal = options, mint, publish, journal
        self._known, self._shutters = known, shutters
        self._session: OpenSession | None = None
        self._open_shutters: set[str] = set()
        self._live_since: Moment | None = None
        self._open_since: Moment | None = None
        self._running: dict[UUID, Moment] = {}
        self._looked_ns = self._kept_ns = 0
        self._is_kept = True

    # -- what the hardware tells

    def take(self, event: object) -> None:
        """Take in an event; what an acquisition moves is no touch, and is counted at its end."""
        match event:
            case PropertyMoved() if not self._running:
                self._moved(event)
            case PresetSet() if not self._running:
                self._touch(event.moment)
            case ImageSnapped():
                self._touch(event.moment).n_snaps += 1
            case LiveToggled():
                self._live(event)

    def began(self, acquisition_id: UUID, moment: Moment) -> None:
        """Take in that an acquisition has begun."""
        session = self._touch(moment)
        session.n_acquisitions += 1
        if len(session.acquisition_ids) < MOST_ACQUISITIONS_NAMED:
            session.acquisition_ids.append(acquisition_id)
        self._running[acquisition_id] = moment
        self._count_shutter(moment)

    def ended(self, acquisition_id: UUID, moment: Moment, n_frames: int, exposed_ms: float) -> None:
        """Take in that it has ended; the shutter was open for its exposures, where it did not stand open anyway."""
        if acquisition_id not in self._running:
            return
        session = self._touch(moment)  # while it still counts as running: there was no gap
        began = self._running.pop(acquisition_id)
        lasted_ns = max(0, moment.monotonic_ns - began.monotonic_ns)
        session.n_frames += n_frames
        session.acquiring_ns += lasted_ns
        exposed_ns = lasted_ns if self._open_shutters else min(int(exposed_ms * 1e6), lasted_ns)
        if self._shutters():
            session.shutter_ns = (session.shutter_ns or 0) + exposed_ns
        self._count_shutter(moment)

    def _moved(self, event: PropertyMoved) -> None:
        reading = event.reading
        device, name = reading.key
        is_shutter = device in self._shutters() and name == "State"
        if is_shutter:
            is_open = str(reading.value) in ("1", "True")
            (self._open_shutters.add if is_open else self._open_shutters.discard)(device)
            self._touch(reading.moment)
            self._count_shutter(reading.moment)
            if self._is_auto():
                return  # the core opens and closes it for an exposure
        if event.is_commanded or name.startswith(_MOVED_BY_HAND):
            session = self._touch(reading.moment)
            session.devices[device] = session.devices.get(device, 0) + 1

    def _live(self, event: LiveToggled) -> None:
        session = self._touch(event.moment)
        if event.is_live:
            session.n_live += 1
            self._live_since = event.moment
        elif self._live_since is not None:
            lasted_ns = max(0, event.moment.monotonic_ns - self._live_since.monotonic_ns)
            session.live_ns += lasted_ns
            self._live_since = None
            if (exposure_ms := self._exposure_ms()) is not None:
                session.most_live_frames = (session.most_live_frames or 0) + lasted_ns / 1e6 / exposure_ms
        self._count_shutter(event.moment)

    def _exposure_ms(self) -> float | None:
        """Return the exposure of the camera in use; None when it is not known."""
        known = self._known()
        camera = known.get(Key("Core", "Camera"))
        reading = known.get(Key(str(camera.value), "@exposure")) if camera else None
        value = reading.value if reading else None
        return float(value) if isinstance(value, int | float) and value > 0 else None

    def _is_auto(self) -> bool:
        reading = self._known().get(_AUTO_SHUTTER)
        return reading is not None and str(reading.value) in ("1", "True")

    def _count_shutter(self, moment: Moment) -> None:
        """Add the time that a shutter was open until now, and note whether one is open from here on."""
        if self._open_since is not None and self._session is not None:
            opened_ns = max(0, moment.monotonic_ns - self._open_since.monotonic_ns)
            self._session.shutter_ns = (self._session.shutter_ns or 0) + opened_ns
        is_open = bool(self._open_shutters) or (self._live_since is not None and self._is_auto())
        self._open_since = moment if is_open and self._shutters() and not self._running else None

    # -- sessions

    def _touch(self, moment: Moment) -> OpenSession:
        """Return the session that goes on at this moment, a new one if need be."""
        self._look(moment)
        if self._session is None:
            self._session = OpenSession(self._options.who(), moment, moment)
            self._kept_ns = 0  # on disk from its first moment
        self._session.last = max(self._session.last, moment, key=lambda m: m.monotonic_ns)
        self._is_kept = False
        return self._session

    def tick(self, now: Moment) -> None:
        """End the session that is over, and keep the one that goes on."""
        if self._session is None:
            return
        if now.monotonic_ns - self._looked_ns >= _LOOK_NS:
            self._look(now)
        if self._session is not None and not self._is_kept and now.monotonic_ns - self._kept_ns >= _KEEP_NS:
            self._journal.keep(self._record(self._session, "interrupted", self._end_of(self._session, now)))
            self._kept_ns, self._is_kept = now.monotonic_ns, not self._is_going_on

    def stop(self, now: Moment) -> None:
        """End the session because the agent stops."""
        if self._session is not None:
            self._end("agent_stopped", self._end_of(self._session, now))

    @property
    def _is_going_on(self) -> bool:
        return bool(self._running) or self._live_since is not None

    def _end_of(self, session: OpenSession, now: Moment) -> Moment:
        return now if self._is_going_on else session.last

    def _look(self, now: Moment) -> None:
        """End the session when its person is gone, or nothing was touched for long."""
        session = self._session
        self._looked_ns = now.monotonic_ns
        if session is None or self._is_going_on:
            return
        if now.monotonic_ns - session.last.monotonic_ns > self._options.idle_gap_s * 1e9:
            self._end("idle", session.last)
            return
        person = self._options.who()
        if (person and person.name) != (session.person and session.person.name):
            self._end("logout" if person is None else "other_user", session.last)

    def _end(self, why: Ended, at: Moment) -> None:
        session, self._session = self._session, None
        assert session is not None
        self._count_shutter_of(session, at)
        record = self._record(session, why, at)
        if self._publish(record):
            self._journal.drop(record.session_id)
        else:
            self._journal.keep(record)  # the next start publishes it

    def _count_shutter_of(self, session: OpenSession, at: Moment) -> None:
        if self._open_since is not None:
            opened_ns = max(0, at.monotonic_ns - self._open_since.monotonic_ns)
            session.shutter_ns = (session.shutter_ns or 0) + opened_ns
            self._open_since = at  # it stays open: the next session's concern

    def _record(self, session: OpenSession, why: Ended, at: Moment) -> UsageSession:
        name = self._options.privacy.publish(session.person.name if session.person else None)
        since = session.person.since if session.person else None
        return self._mint.make(
            UsageSession,
            record_id=session.session_id,
            session_id=session.session_id,
            user=name.text,
            user_name=name.given,
            logged_in_at=since if name.given != "omitted" else None,
            began=self._mint.instant(session.began),
            ended=self._mint.instant(at),
            duration_s=max(0, at.monotonic_ns - session.began.monotonic_ns) / 1e9,
            ended_by=why,
            devices=dict(session.devices),
            shutter_open_s=None if session.shutter_ns is None else session.shutter_ns / 1e9,
            n_snaps=session.n_snaps,
            n_live=session.n_live,
            live_s=(session.live_ns + self._ns_since(self._live_since, at)) / 1e9,
            n_frames_live_at_most=None if session.most_live_frames is None else int(session.most_live_frames),
            acquisition_ids=tuple(session.acquisition_ids),
            n_acquisitions=session.n_acquisitions,
            n_frames_acquired=session.n_frames,
            acquiring_s=(
                session.acquiring_ns + sum(self._ns_since(began, at) for began in self._running.values())
            )
            / 1e9,
        )

    @staticmethod
    def _ns_since(began: Moment | None, at: Moment) -> int:
        return 0 if began is None else max(0, at.monotonic_ns - began.monotonic_ns)
