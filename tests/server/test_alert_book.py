"""The book of alerts, round by round, with a clock in our hands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.alerts.book import Turned, turn
from server.alerts.rules import Rule, Severity, Silent
from server.alerts.scene import Finding

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RULE = Rule(
    key="silent",
    name="No sign of life",
    condition=Silent(),
    severity=Severity.CRITICAL,
    holds_for_min=5,
    clears_for_min=10,
)


def finding(instrument_id="scope-1", **more) -> Finding:
    return Finding("silent", instrument_id, "", "No sign of life for %(minutes)s min", START, more)


class Rounds:
    """Turns the book minute by minute."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.book, self.now, self.rule = {}, START, rule

    def after(self, minutes: float, *findings: Finding, rules: list[Rule] | None = None) -> Turned:
        self.now += timedelta(minutes=minutes)
        turned = turn(self.book, findings, [self.rule] if rules is None else rules, self.now)
        self.book = turned.book
        return turned


def states(turned: Turned) -> list[str]:
    return [alert.state for alert in turned.book.values()]


def test_trouble_fires_once_when_it_has_held_long_enough():
    rounds = Rounds()
    assert states(rounds.after(0, finding())) == ["waiting"]
    assert rounds.after(4, finding()).fired == ()
    (fired,) = rounds.after(1, finding()).fired
    assert (fired.fired_at, fired.found_at, fired.since) == (rounds.now, START, START)
    assert rounds.after(1, finding()).fired == ()


def test_trouble_that_passes_before_is_forgotten():
    rounds = Rounds()
    rounds.after(0, finding())
    turned = rounds.after(3)
    assert (turned.book, turned.ended) == ({}, ())
    assert turned.gone == (finding().key,)
    assert states(rounds.after(3, finding())) == ["waiting"]


def test_trouble_that_flutters_stays_one_alert():
    rounds = Rounds()
    rounds.after(0, finding())
    rounds.after(5, finding())
    for _ in range(10):
        assert rounds.after(6).ended == ()
        assert rounds.after(3, finding()).fired == ()
    rounds.after(1)
    assert rounds.after(9).ended == ()
    (ended,) = rounds.after(1).ended
    assert (ended.state, ended.over_at, ended.found_at) == ("over", rounds.now, START)
    assert rounds.book == {}


@pytest.mark.parametrize("rules", [[], [RULE.model_copy(update={"is_on": False})]])
def test_alert_of_a_rule_that_is_gone_is_over_at_once(rules):
    rounds = Rounds()
    rounds.after(0, finding())
    rounds.after(5, finding())
    assert len(rounds.after(1, finding(), rules=rules).ended) == 1


def test_same_trouble_of_two_instruments_is_two_alerts():
    rounds = Rounds(RULE.model_copy(update={"holds_for_min": 0}))
    assert len(rounds.after(0, finding("scope-1"), finding("scope-2")).fired) == 2


def test_book_of_a_round_does_not_touch_the_one_before():
    before = turn({}, [finding()], [RULE], START).book
    told = {key: alert.model_dump_json() for key, alert in before.items()}
    turn(before, [], [RULE], START + timedelta(hours=1))
    assert {key: alert.model_dump_json() for key, alert in before.items()} == told
