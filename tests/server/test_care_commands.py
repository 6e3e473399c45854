"""The commands that look after a store, each as its user types it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.errors import SettingsError
from server.store import SqliteStore


@pytest.fixture
def data(running, tools, tmp_path):
    """A data folder with an instrument, an acquisition and an error that was sent, its collector still running."""
    sender = running.sender()
    sender.send([*tools.Scope(sender).acquisition(), b"not json"])
    return tmp_path / "data0"


def run(*words, code=0):
    done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=True)
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_backup_is_verified_and_restored(data, tmp_path, running):
    run("backup", tmp_path / "monday.sqlite", "--data", data)
    assert run("verify", tmp_path / "monday.sqlite", "--data", tmp_path / "nowhere")[0]["problems"] == []

    run("restore", tmp_path / "monday.sqlite", "--data", tmp_path / "new")

    assert run("verify", "--data", tmp_path / "new")[0]["n_records"] == 7
    with closing(SqliteStore(tmp_path / "new")) as store, store.reading() as reads:
        assert [row.record_id for row in reads.records()] == [
            entry["record_id"] for entry in running.get("/v1/records").json()["records"]
        ]


def test_restore_never_overwrites(data, tmp_path):
    run("backup", tmp_path / "b.sqlite", "--data", data)
    with pytest.raises(SettingsError, match="holds a store already"):
        run("restore", tmp_path / "b.sqlite", "--data", data)


def test_damaged_backup_is_told(data, tmp_path):
    target = tmp_path / "b.sqlite"
    run("backup", target, "--data", data)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("UPDATE batches SET body = zeroblob(length(body))")
        connection.commit()

    said = run("verify", target, "--data", tmp_path, code=1)[0]

    assert any("signature" in problem for problem in said["problems"])


def test_verify_takes_the_key_of_the_checkpoints(data, tmp_path, running):
    from server.chores import Chores
    from server.keeping.checkpoints import signer_in

    signer = signer_in(data, running.collector.settings.collector.name)
    Chores(running.collector, signer).do_what_is_due()

    assert run("verify", "--data", data)[0] | {"problems": []} == {
        "n_batches": 1, "n_records": 7, "n_given_up": 0, "n_checkpoints": 1, "n_audit_entries": 1, "problems": [],
    }  # fmt: skip
    kept = tmp_path / "kept.txt"
    kept.write_text(CliRunner().invoke(app, ["checkpoint", "--data", str(data)]).stdout, encoding="utf-8")
    assert run("verify", "--data", data, "--checkpoint", kept)[0]["n_checkpoints"] == 2
    kept.write_text(kept.read_text(encoding="utf-8").replace("audit 1", "audit 9"), encoding="utf-8")
    said = run("verify", "--data", data, "--checkpoint", kept, code=1)[0]
    assert "not signed" in said["problems"][0]
    other = signer_in(tmp_path, "another")
    assert "not signed" in run("verify", "--data", data, "--key", other.verifier, code=1)[0]["problems"][0]


def test_checkpoint_before_the_first_is_told(data):
    with pytest.raises(SettingsError, match="no checkpoint yet"):
        CliRunner().invoke(app, ["checkpoint", "--data", str(data)], catch_exceptions=False)


def test_store_copy_tells_each_table(data, tmp_path):
    copied = {line["table"]: line["n_rows"] for line in run("store", "copy", data, tmp_path / "copy")}

    assert (copied["batches"], copied["records"], copied["quarantine"]) == (1, 6, 1)
    assert run("verify", "--data", tmp_path / "copy")[0]["problems"] == []


def test_retention_counts_before_it_acts(data):
    (data / "server.toml").write_text("[retention]\ndrop_changes_after_days = 1\n", encoding="utf-8")

    said = run("retention", "--dry-run", "--data", data)[0]

    assert said["given_up"]["drop state_change"] in (0, 1)  # by the real clock, the test's is in May 2026
    assert said["is_dry_run"] is True
