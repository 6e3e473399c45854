"""A glance may be stricter than the model, never more lenient, and says the same where both take a record."""

from __future__ import annotations

import json
import random

import pytest
from msgspec import structs

from agent.records import RecordError, StateChange, StateSnapshot, decode_tolerant, encode
from server.ingest.filing import file_line, filed_of
from server.ingest.glance import glance, glance_all
from server.store.rows import Agent

ODD = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "ok",
    [],
    {},
    [None],
    "2026-05-04T09:00:00",
    "2026-05-04T09:00:00+02:00",
    "0001-01-01T00:00:00+14:00",
]


@pytest.fixture
def sender(tools):
    return tools.Sender(None)


@pytest.fixture
def agent(sender, clock):
    return Agent(sender.agent_id, sender.public_key, sender.instrument_id, "pc", "Linux", "0.1", clock())


@pytest.fixture
def records(tools, sender):
    scope = tools.Scope(sender)
    return [scope.snapshot(), scope.change("Stage", "Z", scope.read(1.5, "um")), *scope.acquisition()]


def test_glance_takes_the_frequent_kinds_and_files_them_as_the_model_does(records, agent):
    taken = {type(record): glance(encode(record), agent) for record in records}

    assert taken[StateSnapshot] == filed_of(records[0])
    assert taken[StateChange].changes
    for record in records:
        filed = glance(encode(record), agent)
        assert (filed is not None) == isinstance(record, StateSnapshot | StateChange)
        if filed is not None:
            ours = filed_of(record)
            assert structs.replace(filed, changes=()) == structs.replace(ours, changes=())
            assert [json.loads(c.change) for c in filed.changes] == [
                json.loads(c.change) for c in ours.changes
            ]
            assert [(c.device, c.last_at) for c in filed.changes] == [
                (c.device, c.last_at) for c in ours.changes
            ]


def test_glance_is_never_more_lenient_than_the_model(records, agent):
    """A thousand changes records with one thing wrong each: what the model refuses, a glance refuses too."""
    dice, n_refused = random.Random(20260504), 0
    change = json.loads(encode(records[1]))
    for _ in range(1000):
        broken = json.loads(json.dumps(change))
        _break(broken, dice)
        raw = json.dumps(broken).encode()
        try:
            decode_tolerant(raw)
        except (RecordError, OverflowError):
            n_refused += 1
            assert glance(raw, agent) is None, raw
    assert n_refused > 300


def test_snapshot_with_a_broken_header_is_refused(records, agent):
    dice = random.Random(7)
    snapshot = json.loads(encode(records[0]))
    for _ in range(500):
        broken = json.loads(json.dumps(snapshot))
        state = broken.pop("state")
        _break(broken, dice)
        raw = json.dumps({**broken, "state": state}).encode()
        try:
            decode_tolerant(raw)
        except (RecordError, OverflowError):
            assert glance(raw, agent) is None or broken.get("reason") != snapshot["reason"], raw


@pytest.mark.parametrize(
    "odd", [b"NaN", b"-Infinity", b'"\\ud800"', b"[" * 5000 + b"]" * 5000, b"{", b'"\xff"']
)
def test_odd_json_is_left_to_the_model(records, agent, odd):
    raw = encode(records[0]).replace(b'"kind":', b'"x":' + odd + b',"kind":')
    line = file_line(1, raw, "0" * 64, agent)
    if line.flag is not None:
        assert glance(raw, agent) is None


def test_number_that_fits_no_column_is_flagged(records, agent):
    raw = encode(records[1]).replace(b'"monotonic_ns":1', b'"monotonic_ns":1' + b"0" * 30)
    assert glance(raw, agent) is None
    assert file_line(1, raw, "0" * 64, agent).flag.reason == "malformed"


def _break(value, dice):
    """Take something out, or put something odd in, anywhere."""
    while True:
        name = dice.choice(list(value))
        inner = value[name]
        if isinstance(inner, dict) and inner and dice.random() < 0.8:
            value = inner
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict) and dice.random() < 0.8:
            value = inner[0]
        elif dice.random() < 0.4:
            del value[name]
            return
        else:
            value[name] = dice.choice(ODD)
            return


def test_many_at_once_are_seen_as_each_alone(records, agent):
    lines = [encode(record) for record in (records[0], records[1], records[0])]
    odd = [encode(records[2]), b"", b"{", b'{"x":"\xff"}', lines[0] + b" ", b" " + lines[1]]
    for chosen in (lines, [*lines, odd[0]], *([*lines, one, lines[0]] for one in odd)):
        assert glance_all(b"\n".join(chosen), chosen, agent) == [glance(line, agent) for line in chosen]
