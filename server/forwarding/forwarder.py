"""Passes on what comes in, for as long as the collector runs; what cannot be sent waits where it always was, in the store.

The upstream keeps how far the log has come, in the transaction in which it takes a request, and is asked for it at the start and after
every failure. A copy of it is kept here for people to look at.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict

from agent.records.wire import CHAIN_START
from server.collector import Collector
from server.errors import CollectorError, survived
from server.forwarding.client import Upstream
from server.forwarding.errors import LoopError, UpstreamAwayError, UpstreamRefusedError
from server.forwarding.identity import Keys, collector_id_of
from server.forwarding.parcels import Packer, leaf_sha256
from server.forwarding.policy import Policy
from server.forwarding.protocol import ForwardReply, Parcel, Revoked, Standing
from server.forwarding.revoked import revoked_agents
from server.store.base import Reads, Writes
from server.store.rows import StoredBatch

DOCUMENT = "upstream"
IDLE_S = 1.0
REFUSED_S = 60.0
LONGEST_BACKOFF_S = 60.0
MOST_PARCELS = 200
_BODY_BYTES = 512 << 10
_BATCHES_AT_ONCE = 8
_LOOK_AT_REVOKED = timedelta(minutes=1)
_log = logging.getLogger(__name__)


class UpstreamState(BaseModel):
    """How forwarding to one upstream fares."""

    model_config = ConfigDict(frozen=True)

    log_id: str = ""
    collector_id: str = ""
    name: str = ""
    above: tuple[str, ...] = ()
    acked: int = 0
    n_not_taken: int = 0
    last_not_taken: str = ""
    last_success_at: AwareDatetime | None = None
    last_error: str = ""


def state_of(reads: Reads, url: str) -> UpstreamState:
    """Return how forwarding to an upstream fares, as far as it is known here."""
    found = reads.document(DOCUMENT, url)
    return UpstreamState.model_validate_json(found.body) if found else UpstreamState()


def above_of(reads: Reads, url: str) -> tuple[str, ...]:
    """Return the collectors above this one, as far as they are known."""
    return state_of(reads, url).above if url else ()


class Forwarder:
    """Forwards on a thread of its own.

    Parameters
    ----------
    collector : Collector
        Whose batches go up; `settings.upstream` says where to and what.
    keys : Keys
        Sign them.
    wait : callable, optional
        Waits for a number of seconds or until asked to stop; tests pass their own.
    """

    def __init__(
        self, collector: Collector, keys: Keys, wait: Callable[[float], object] | None = None
    ) -> None:
        self._collector = collector
        self._settings = collector.settings.upstream
        self._upstream = Upstream(self._settings, collector.settings.outgoing, keys, collector.now)
        self._keys = keys
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread = threading.Thread(target=self._run, name="collector-forwarder")
        self._packer: Packer | None = None
        self._acked = 0
        self._leaf = CHAIN_START
        self._most_parcels = MOST_PARCELS
        self._told_revoked: tuple[Revoked, ...] = ()
        self._looked_at: datetime | None = None
        self._n_failures, self._n_forks, self._pause_s = 0, 0, IDLE_S
        with collector.store.reading() as reads:
            self._state = state_of(reads, self._settings.url)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request in flight."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._upstream.close()

    def forward_once(self) -> int:
        """Send all there is now, no faster than the settings allow; return how many batches that were.

        Raises
        ------
        UpstreamAwayError, UpstreamRefusedError, LoopError
            What was acknowledged before counts.
        """
        n_sent = 0
        try:
            packer = self._packer or self._begin()
            while not self._stop.is_set() and (parcels := self._next(packer)):
                reply, n_bytes = self._sent(parcels)
                self._acked, self._leaf = reply.acked, reply.leaf
                n_sent += len(parcels)
                self._note(reply)
                self._wait(n_bytes / (self._settings.max_kb_per_s * 1000))
            self._tell_revoked()
        except CollectorError as error:
            self._packer, self._looked_at = None, None  # where everything stands is asked for again
            self._keep(self._state.model_copy(update={"last_error": str(error)}))
            raise
        return n_sent

    def _sent(self, parcels: list[Parcel]) -> tuple[ForwardReply, int]:
        try:
            answer = self._upstream.send(self._state.log_id, self._leaf, parcels)
        except UpstreamRefusedError as refused:
            if refused.error == "too_large":
                self._most_parcels = max(len(parcels) // 2, 1)
            raise
        self._most_parcels = MOST_PARCELS
        return answer

    def _tell_revoked(self) -> None:
        """Tell which agents are shut out, after what they sent before, when it has changed and after every start."""
        now = self._now()
        if self._looked_at is not None and timedelta(0) <= now - self._looked_at < _LOOK_AT_REVOKED:
            return
        with self._collector.store.reading() as reads:
            agents = revoked_agents(reads)
        if agents != self._told_revoked:
            self._upstream.tell_revoked(agents)
        self._told_revoked, self._looked_at = agents, now

    def _begin(self) -> Packer:
        """Ask where our log stands, and begin another one when the upstream knows a future of it that is not ours."""
        own_id = collector_id_of(self._collector)
        standing = self._upstream.standing()
        check_no_loop(standing, own_id)
        is_ours = standing.log_id == self._state.log_id != "" and self._has(standing)
        log_id = self._state.log_id if is_ours or not standing.log_id else uuid4().hex
        self._acked, self._leaf = (standing.acked, standing.leaf) if is_ours else (0, CHAIN_START)
        known = {"collector_id": standing.collector_id, "name": standing.name, "above": standing.above}
        self._keep(
            self._state.model_copy(
                update={**known, "log_id": log_id or uuid4().hex, "acked": self._acked, "last_error": ""}
            )
        )
        policy = Policy(self._settings, own_id, self._keys.names)
        self._packer = Packer(self._keys, policy, own_id, standing.collector_id, self._upstream.end_of)
        return self._packer

    def _has(self, standing: Standing) -> bool:
        if standing.acked == 0:
            return True
        with self._collector.store.reading() as reads:
            batch = reads.batch(standing.acked)
        return batch is not None and leaf_sha256(batch) == standing.leaf

    def _next(self, packer: Packer) -> list[Parcel]:
        parcels: list[Parcel] = []
        n_bytes = 0
        with self._collector.store.reading() as reads:
            for batch in islice(_batches_after(reads, self._acked), self._most_parcels):
                size = len(batch.body or b"")
                if parcels and n_bytes + size > _BODY_BYTES:
                    break
                parcels.append(packer.parcel(reads, batch, self._collector.now()))
                n_bytes += size
        return parcels

    def _note(self, reply: ForwardReply) -> None:
        told = self._state
        for one in reply.not_taken:
            _log.warning("%s did not take batch %d: %s", reply.name, one.number, one.message)
        self._keep(
            told.model_copy(
                update={
                    "acked": reply.acked,
                    "above": reply.above,
                    "n_not_taken": told.n_not_taken + len(reply.not_taken),
                    "last_not_taken": reply.not_taken[-1].message if reply.not_taken else told.last_not_taken,
                    "last_success_at": self._collector.now(),
                    "last_error": "",
                }
            )
        )

    def _keep(self, state: UpstreamState) -> None:
        if state != self._state:
            self._collector.writer.do(
                lambda writes: keep_state(writes, self._settings.url, state, self._now())
            )
        self._state = state

    def _now(self) -> datetime:
        return self._collector.now()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._pause_s = REFUSED_S
            survived(self._go, "Forwarding")
            self._wait(self._pause_s)

    def _go(self) -> None:
        """Forward what there is, and say how long to wait afterwards."""
        try:
            self.forward_once()
            self._n_failures, self._n_forks, self._pause_s = 0, 0, IDLE_S
        except UpstreamAwayError as error:
            self._n_failures += 1
            self._pause_s = error.retry_after_s or random.random() * min(
                LONGEST_BACKOFF_S, 2.0 ** min(self._n_failures, 16)
            )
            _log.info("Waiting for the upstream collector: %s", error)
        except (UpstreamRefusedError, LoopError) as error:
            self._pause_s = 0.0 if self._can_go_on_at_once(getattr(error, "error", "")) else REFUSED_S
            _log.warning("The upstream collector takes nothing: %s", error)

    def _can_go_on_at_once(self, refusal: str) -> bool:
        """Return whether another log, or fewer batches, may be taken now; two that forward with one key fork for ever."""
        if refusal == "log_fork":
            self._n_forks += 1
            return self._n_forks == 1
        return refusal == "too_large" and self._most_parcels > 1


def _batches_after(reads: Reads, number: int) -> Iterator[StoredBatch]:
    """Yield batches in order; few are read at once, for a batch may be a megabyte and a request holds half of one."""
    while page := reads.batches(number, _BATCHES_AT_ONCE):
        yield from page
        number = page[-1].batch_id


def keep_state(writes: Writes, url: str, state: UpstreamState, now: datetime) -> None:
    """Keep how forwarding to an upstream fares."""
    writes.put_document(DOCUMENT, url, state.model_dump_json(), now, "forwarding")


def check_no_loop(standing: Standing, own_id: str) -> None:
    """Refuse an upstream that is this collector itself, or forwards to it.

    Raises
    ------
    LoopError
        Everything would come back.
    """
    if own_id in standing.above:
        raise LoopError(
            f"{standing.name} forwards to this collector, by itself or through others: everything would come back. "
            "Set [upstream] url to another collector."
        )
