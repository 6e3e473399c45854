"""What every request needs, in one place: made once, passed explicitly, closed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta

from server.access.attempts import Attempts, PasswordChecks
from server.access.limits import AgentLimits
from server.access.oidc import Provider
from server.access.scope import Scope
from server.access.seeing import StoreInScope
from server.clock import Now, utc_now
from server.ingest import Admitted, GroupWriter
from server.quality.asked import Asked
from server.settings import Settings
from server.store import Store
from server.store.base import Readable
from server.store.rows import AuditEntry

OPENING_THREADS = 2


@dataclass(frozen=True)
class Collector:
    """A running collector without its web server."""

    settings: Settings
    store: Readable
    """As much of it as whoever asks may see."""
    whole_store: Store
    writer: GroupWriter
    opening: ThreadPoolExecutor
    """Where batches are checked and taken apart: few threads, because they all want Python's one lock."""
    attempts: Attempts
    now: Now
    agent_limits: AgentLimits
    password_checks: PasswordChecks = field(default_factory=PasswordChecks)
    admitted: Admitted = field(default_factory=Admitted)
    asked: Asked = field(default_factory=Asked)
    """What people are asked for by the agents."""
    provider: Provider | None = None
    """Where people sign in, when they do so by single sign-on."""

    @classmethod
    def on(cls, store: Store, settings: Settings, now: Now = utc_now) -> Collector:
        """Return a collector on a store; whoever calls this closes both."""
        return cls(
            settings=settings,
            store=store,
            whole_store=store,
            writer=GroupWriter(store, settings.limits.max_waiting),
            opening=ThreadPoolExecutor(max_workers=OPENING_THREADS, thread_name_prefix="collector-opening"),
            attempts=Attempts(settings.limits.attempts_per_minute, now),
            now=now,
            agent_limits=AgentLimits(settings.limits, now),
            provider=Provider(settings.oidc, now) if settings.oidc.issuer else None,
        )

    def seen_in(self, scope: Scope) -> Collector:
        """Return the collector as somebody of that scope may see it: its store shows nothing else."""
        return replace(self, store=StoreInScope(self.store, scope)) if scope.is_limited else self

    @property
    def silent_after(self) -> timedelta:
        """How long an instrument may be quiet before it counts as silent."""
        health = self.settings.health
        return timedelta(seconds=health.heartbeat_s * health.missed_heartbeats)

    def note(
        self, who: str, action: str, detail: str = "", *, address: str = "", refused: bool = False
    ) -> None:
        """Write an audit entry and wait until it is durable."""
        entry = AuditEntry(
            at=self.now(),
            who=who,
            action=action,
            outcome="refused" if refused else "done",
            detail=detail,
            address=address,
        )
        self.writer.do(lambda writes: writes.add_audit(entry))

    def close(self) -> None:
        """Commit what waits, then close the store."""
        self.opening.shutdown(wait=True)
        self.writer.close()
        self.whole_store.close()
