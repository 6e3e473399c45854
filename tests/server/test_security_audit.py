"""The audit log: what stands in it, who reads it, and that nobody changes it unseen (ASVS 5.0 chapter 16)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from contextlib import closing

import pytest

from server.keeping.verify import verify
from server.store.audit_chain import one_line
from server.store.rows import AuditEntry


def entries_of(running, search: str = "") -> list[tuple[str, str, str]]:
    with running.collector.store.reading() as reads:
        return [(one.who, one.action, one.outcome) for one in reads.audit(100, search=search)]


def noted(store, clock, *details: str) -> None:
    for detail in details:
        entry = AuditEntry(clock(), "ada", "rule changed", "done", detail, "10.0.0.1")
        store.write([lambda writes, entry=entry: writes.add_audit(entry)])


def test_chain_is_a_hash_over_entry_and_chain_before(open_store, clock):
    """ASVS 5.0 16.4.2. The hash is computed here with nothing of the product."""
    store = open_store()
    noted(store, clock, "one", "two ü")
    with store.reading() as reads:
        two, one = reads.audit()
    before = "0" * 64
    for entry in (one, two):
        told = [entry.at.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"), entry.who, entry.action, entry.outcome, entry.detail,
                entry.address]  # fmt: skip
        inner = hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).digest()
        before = hashlib.sha256(bytes.fromhex(before) + inner).hexdigest()
        assert entry.chain == before


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET detail = 'nothing' WHERE detail = 'two'",
        "UPDATE audit SET at = at + 1 WHERE detail = 'two'",
        "DELETE FROM audit WHERE detail = 'two'",
        "DELETE FROM audit WHERE detail = 'one'",
        "INSERT INTO audit SELECT 99, at, who, action, outcome, 'extra', address, chain FROM audit WHERE detail = 'three'",
        "UPDATE audit SET chain = '' WHERE detail = 'three'",
    ],
)
def test_tampering_with_the_audit_log_is_found(make_running, clock, tampering):
    """ASVS 5.0 16.4.2: whoever can write to the file still cannot change what stands in the log unseen."""
    running = make_running()
    noted(running.collector.store, clock, "one", "two", "three")
    with running.collector.store.reading() as reads:
        assert not verify(reads).problems
    with closing(sqlite3.connect(running.collector.store.path)) as thief:
        assert thief.execute(tampering).rowcount == 1
        thief.commit()
    with running.collector.store.reading() as reads:
        assert [one for one in verify(reads).problems if one.startswith("Audit entry")]


def test_search_finds_every_word_and_nothing_more(open_store, clock):
    store = open_store()
    noted(store, clock, "limit 5 %", "limit 50", "Route_A", "RouteXA")
    with store.reading() as reads:
        assert [one.detail for one in reads.audit(search="LIMIT ada")] == ["limit 50", "limit 5 %"]
        assert [one.detail for one in reads.audit(search="5 %")] == ["limit 5 %"]
        assert [one.detail for one in reads.audit(search="route_a")] == ["Route_A"]
        newest = reads.audit(limit=1)
        assert reads.audit(before=newest[0].position)[0].detail == "Route_A"


def test_refusals_and_bad_tokens_are_audited_and_a_flood_is_cut_off(running):
    """ASVS 5.0 16.3.1, 16.3.2."""
    with running.browser("grace", "viewer") as browser:
        assert browser.get("/admin").status_code == 403
    assert ("grace", "refusal", "refused") in entries_of(running, "GET /admin not_allowed")
    for _ in range(30):
        assert running.client.get("/v1/agents", headers={"Authorization": "Bearer wrong"}).status_code == 401
    n_noted = len(entries_of(running, "not_signed_in"))
    assert 1 <= n_noted <= running.collector.settings.limits.attempts_per_minute


def test_role_changes_sign_outs_and_exports_are_audited(running):
    """ASVS 5.0 16.3.3."""
    with running.browser("root", "admin") as browser:
        token = browser.get("/admin/people").text.split('name="form_token" value="')[1].split('"')[0]
        form = {"form_token": token, "name": "grace", "role": "staff"}
        assert browser.post("/admin/people", data=form).status_code == 200
        assert browser.get("/audit.csv").status_code == 200
        browser.post("/logout", data={"form_token": token})
    told = entries_of(running)
    assert [action for who, action, _ in told if who == "root"] == [
        "sign-out", "audit exported", "person put", "sign-in"
    ]  # fmt: skip


def test_csv_reads_back_and_runs_no_formula(running, clock):
    """ASVS 5.0 1.2.10."""
    noted(running.collector.store, clock, '=HYPERLINK("http://evil.example")', 'comma, "quote"')
    told = running.client.get("/audit.csv", headers=running.token("auditor")).text
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [row["detail"] for row in rows][1:] == ['comma, "quote"', '\'=HYPERLINK("http://evil.example")']


def test_device_strings_cannot_forge_a_log_line(running):
    """ASVS 5.0 16.4.1: line ends, terminal escapes and direction marks in a name stay visible text."""
    evil = "x\n2026-01-01 root sign-in done\x1b[2K\u202e\x00\r"
    running.collector.note(evil, "sign-in", evil)
    with running.collector.store.reading() as reads:
        (entry,) = reads.audit()
    assert entry.who.isprintable() and entry.detail.isprintable()
    assert entry.who == "x\\n2026-01-01 root sign-in done\\x1b[2K\\u202e\\x00\\r"
    assert one_line("µ-Plan 60×/1.4 Öl") == "µ-Plan 60×/1.4 Öl"
