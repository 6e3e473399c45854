"""One round: look, turn the book, let routes gather, tell who is to be told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from server.alerts import book, routes
from server.alerts.away import away_until
from server.alerts.findings import Looker
from server.alerts.rules import rules_of, rules_on
from server.alerts.telling import PartlyToldError, Teller, compose
from server.collector import Collector
from server.errors import survived
from server.outgoing import OutgoingError
from server.store.base import Writes
from server.store.rows import AuditEntry

_log = logging.getLogger(__name__)

WHO = "alerts"


class AlertRound:
    """Goes round by round on one thread of the collector.

    Parameters
    ----------
    collector : Collector
        Whose instruments are looked at.
    teller : Teller
        Sends the messages.
    rest : callable, optional
        Called now and then.
    """

    def __init__(
        self, collector: Collector, teller: Teller, rest: Callable[[], object] = lambda: None
    ) -> None:
        self._collector = collector
        self._teller = teller
        self._not_noted: dict[str, routes.Waiting] = {}
        """What is left on routes that were tried while the store took nothing, so that they are not told without end."""
        with collector.store.reading() as reads:
            self._looker = Looker(away_until(reads, collector.now()), rest)

    def go(self) -> None:
        """Go one round. What is to be told is stored before anybody is told, and stays stored until it was told."""
        store = self._collector.store
        with store.reading() as reads:
            watched = rules_on(rules_of(reads))
        unready = self._looker.prepare(store, watched)
        now = self._collector.now()
        with store.reading() as reads:
            rules = rules_of(reads)
            before = book.book_of(reads)
            is_firing = {key for key, alert in before.items() if alert.state == "firing"}.__contains__
            ready = [rule for rule in rules_on(rules) if rule.key not in unready]
            findings = self._looker.look(reads, ready, now, is_firing)
            sites = {one.instrument_id: one.site for one in reads.instruments()}
            all_routes = routes.routes_of(reads)
            silences = routes.silences_of(reads)
            stored = routes.waiting_on(reads, all_routes)
        waiting = {key: self._not_noted.get(key, one) for key, one in stored.items()}
        turned = book.turn(before, findings, rules, now, unready)
        after = {
            route.key: routes.gather(route, waiting[route.key], turned, silences, sites, now)
            for route in all_routes
        }

        def keep(writes: Writes) -> None:
            book.keep(writes, before, turned, now)
            for key, one in after.items():
                if one != stored[key]:
                    writes.put_document(routes.WAITING, key, one.model_dump_json(), now, WHO)

        self._collector.writer.do(keep)
        self._not_noted = {}
        for route in all_routes:
            if routes.is_ready(route, after[route.key], now):
                tell = partial(self._tell, route, after[route.key], turned.book)
                survived(tell, f"Telling route {route.key}")  # the others are told all the same

    def _tell(self, route: routes.Route, waiting: routes.Waiting, alerts: dict[str, book.Alert]) -> None:
        collector, now = self._collector, self._collector.now()
        with collector.store.reading() as reads:
            names = {one.instrument_id: one.name for one in reads.instruments()}
        began = [alerts[key] for key in waiting.began if key in alerts]
        message = compose(began, waiting.ended, names, collector.settings.collector.url, now)
        try:
            self._teller.send(route, message)
        except PartlyToldError as error:
            left, outcome, detail = routes.told(waiting, now, str(error)), "done", str(error)
            _log.warning("Route %s was told in part: %s", route.key, error)
        except OutgoingError as error:
            left, outcome, detail = routes.failed(waiting, str(error), now), "refused", str(error)
            _log.warning("Route %s could not be told: %s", route.key, error)
        else:
            left, outcome, detail = routes.told(waiting, now), "done", message.subject

        def note(writes: Writes) -> None:
            writes.put_document(routes.WAITING, route.key, left.model_dump_json(), now, WHO)
            writes.add_audit(AuditEntry(now, WHO, f"alert route {route.key}", outcome, detail[:400]))

        self._not_noted[route.key] = left
        collector.writer.do(note)
        del self._not_noted[route.key]
