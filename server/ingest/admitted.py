"""Agents that were let in, remembered, so that the store is not asked about the sender of every batch.

Nothing is trusted for being remembered: a batch says against which agent it was verified (`Batch.verified`), and the store
takes it only while the agent stands so, in the same transaction. Who was revoked a moment ago, by whichever process, is
refused.

After a restart a whole fleet returns within a second. So whoever is not remembered leads, once a minute, to all being asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from threading import Lock

from server.store.rows import Agent

MAX_AGENTS = 20_000
"""Remembered at most; beyond it the oldest is forgotten, so that memory is bounded."""


ALL_EVERY = timedelta(minutes=1)
"""All are asked for no more often; in between each is asked for alone."""


class Admitted:
    """Agents by their ids, from any thread."""

    def __init__(self, max_agents: int = MAX_AGENTS) -> None:
        self._max_agents = max_agents
        self._agents: dict[str, Agent] = {}
        self._lock = Lock()
        self._all_asked_at: datetime | None = None

    def get(self, agent_id: str) -> Agent | None:
        """Return the agent as it was let in, None when it is to be asked for."""
        return self._agents.get(agent_id)

    def add(self, agent: Agent) -> None:
        """Remember an agent that may send."""
        with self._lock:
            self._agents[agent.agent_id] = agent
            if len(self._agents) > self._max_agents:
                self._agents.pop(next(iter(self._agents)))

    def add_all(self, ask: Callable[[], Iterable[Agent]], now: datetime) -> None:
        """Remember all that may send, unless they were asked for a moment ago."""
        with self._lock:
            asked_at = self._all_asked_at
            if asked_at is not None and asked_at <= now < asked_at + ALL_EVERY:
                return
            self._all_asked_at = now
        for agent in ask():
            self.add(agent)

    def forget(self, agent_id: str) -> None:
        """Ask for it the next time."""
        with self._lock:
            self._agents.pop(agent_id, None)
