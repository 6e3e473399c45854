"""Agents that were let in, remembered, so that the store is not asked about the sender of every batch.

Nothing is trusted for being remembered: a batch says against which agent it was verified (`Batch.verified`), and the store
takes it only while the agent stands so, in the same transaction. Who was revoked a moment ago, by whichever process, is
refused.
"""

from __future__ import annotations

from threading import Lock

from server.store.rows import Agent

MAX_AGENTS = 20_000
"""Remembered at most; beyond it the oldest is forgotten, so that memory is bounded."""


class Admitted:
    """Agents by their ids, from any thread."""

    def __init__(self, max_agents: int = MAX_AGENTS) -> None:
        self._max_agents = max_agents
        self._agents: dict[str, Agent] = {}
        self._lock = Lock()

    def get(self, agent_id: str) -> Agent | None:
        """Return the agent as it was let in, None when it is to be asked for."""
        return self._agents.get(agent_id)

    def add(self, agent: Agent) -> None:
        """Remember an agent that may send."""
        with self._lock:
            self._agents[agent.agent_id] = agent
            if len(self._agents) > self._max_agents:
                self._agents.pop(next(iter(self._agents)))

    def forget(self, agent_id: str) -> None:
        """Ask for it the next time."""
        with self._lock:
            self._agents.pop(agent_id, None)
