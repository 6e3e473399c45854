"""Ingest over real HTTP: what is taken, what is refused, and that nothing counts twice."""

from __future__ import annotations


def test_ingest_acknowledges_what_it_stored(running, tools):
    sender = running.sender()
    scope = tools.Scope(sender)
    records = [scope.snapshot(), *scope.acquisition()]

    reply = sender.send(records)

    assert reply.status_code == 200, reply.text
    assert reply.json()["acked"] == len(records)
    assert reply.json()["n_added"] == len(records)
    assert "flagged" not in reply.json() or reply.json()["flagged"] == []
    cursor = sender.cursor("spool-a").json()
    assert (cursor["acked"], cursor["chain"]) == (len(records), tools.chain_over(records))
