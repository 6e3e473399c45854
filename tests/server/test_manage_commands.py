"""The commands that let people and programs in, each as its user types it."""

from __future__ import annotations

import json

import httpx
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from server.cli import app
from server.errors import CollectorError

PASSWORD = "correct horse battery\n"
LAST_DAY = "2126-12-31"


@pytest.fixture
def data(running, tmp_path):
    """A collector with two instruments, one of them at another site."""
    running.sender("scope-1")
    running.sender("scope-2")
    return tmp_path / "data0"


def run(*words, given="", code=0):
    done = CliRunner().invoke(app, [*map(str, words), "--json"], input=given, catch_exceptions=True)
    if isinstance(done.exception, CollectorError):
        raise done.exception
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def seen_with(running, token: str) -> list[str]:
    answer = httpx.get(f"{running.url}/v1/instruments", headers={"Authorization": f"Bearer {token}"})
    return [one["instrument_id"] for one in answer.json()]


def test_token_sees_what_it_was_limited_to(running, data):
    limits = {
        "all": [],
        "one": ["--instrument", "scope-2"],
        "site": ["--site", "Basel"],
        "no": ["--site", "X"],
    }
    for name, words in limits.items():
        run("token", "new", name, *words, "--data", data)
        limits[name] = run("token", "new", name, *words, "--data", data)[0]["token"]
    seen = {name: seen_with(running, token) for name, token in limits.items()}
    both = ["scope-1", "scope-2"]
    assert seen == {"all": both, "one": ["scope-2"], "site": both, "no": []}


def test_token_ends_after_its_last_day(running, data):
    token = run("token", "new", "visit", "--until", "2126-05-05", "--data", data)[0]["token"]
    assert len(seen_with(running, token)) == 2
    running.clock.later(days=365 * 101)
    assert (
        httpx.get(f"{running.url}/v1/agents", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    )


def test_vendor_needs_instruments_and_a_last_day_as_on_the_page(data):
    named = ["--role", "vendor", "--instrument", "scope-2"]
    for words, told in (
        (["--role", "vendor", "--until", LAST_DAY], "names of the instruments"),
        (named, "day on which access ends"),
        ([*named, "--until", "soon"], "looks like 2026-12-31"),
        ([*named, "--until", "2020-01-01"], "in the past"),
    ):
        with pytest.raises(CollectorError, match=told):
            run("user", "add", "acme", *words, "--data", data, given=PASSWORD)
        with pytest.raises(CollectorError, match=told):
            run("token", "new", "acme", *words, "--data", data)
    with pytest.raises(CollectorError, match="names of the instruments"):
        run("sign-in-link", "acme", "--role", "vendor", "--url", "http://x.example", "--data", data)
    assert run("user", "list", "--data", data) == run("token", "list", "--data", data) == []


def test_new_password_leaves_role_and_limits_as_they_were(running, data):
    vendor = ["--role", "vendor", "--instrument", "scope-2", "--until", LAST_DAY]
    run("user", "add", "acme", *vendor, "--data", data, given=PASSWORD)

    run("user", "add", "acme", "--data", data, given="another long password\n")

    (told,) = run("user", "list", "--data", data)
    assert told == {
        "user": "acme", "role": "vendor", "sites": [], "instruments": ["scope-2"],
        "ends_at": f"{LAST_DAY}T23:59:59.999999+00:00",
    }  # fmt: skip
    form = {"name": "acme", "password": "another long password"}
    assert running.client.post("/login", data=form).status_code == 303


def test_limits_are_lifted_only_when_asked_for(data):
    run("user", "add", "ada", "--site", "Basel", "--until", LAST_DAY, "--data", data, given=PASSWORD)
    run("user", "add", "ada", "--role", "staff", "--no-limits", "--data", data, given=PASSWORD)
    (told,) = run("user", "list", "--data", data)
    assert (told["role"], told["sites"], told["ends_at"]) == ("staff", [], None)


def test_removed_person_is_gone_and_an_unknown_one_is_told(data):
    run("user", "add", "ada", "--data", data, given=PASSWORD)
    run("user", "remove", "ada", "--data", data)
    with pytest.raises(CollectorError, match="nobody called ada"):
        run("user", "remove", "ada", "--data", data)


def test_what_was_done_stands_in_the_audit_log(running, data):
    run("user", "add", "ada", "--site", "Basel", "--data", data, given=PASSWORD)
    run("token", "new", "grid", "--instrument", "scope-2", "--data", data)
    with running.collector.store.reading() as reads:
        told = [(one.who, one.action, one.detail) for one in reads.audit(2)]
    assert told == [
        ("command line", "token made", "grid as viewer for scope-2"),
        ("command line", "person put", "ada as viewer for Basel"),
    ]


def test_settings_named_by_config_hold(data, tmp_path):
    """A file elsewhere names the store: the data folder's own is not touched."""
    config = tmp_path / "elsewhere.toml"
    config.write_text("[retention]\ndrop_changes_after_days = -1\n", encoding="utf-8")
    for words in (["token", "list"], ["user", "list"], ["verify"], ["retention", "--dry-run"], ["migrate"]):
        with pytest.raises(CollectorError, match="drop_changes_after_days"):
            run(*words, "--data", data, "--config", config)


def commands(command, *names):
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(names), command
    for name, one in (below or {}).items():
        yield from commands(one, *names, name)


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_every_command_takes_its_folder_and_settings_alike(name):
    options = {word: one for one in ALL[name].params for word in one.opts}
    if name in ("store copy", "grafana-dashboard"):  # these work on no data folder
        assert "--data" not in options
        return
    assert options["--config"].help == "Settings as TOML; default: server.toml in --data."
    if name != "demo-fleet":  # its folder is a temporary one by default
        assert options["--data"].help == "The collector's folder: everything it keeps."


@pytest.mark.parametrize("name", ALL)
def test_help_of_a_command_says_what_it_does(name):
    """Square brackets would be taken for markup, and would be missing."""
    told = ALL[name].help
    assert told and "[" not in told
    assert all(one.help and "[" not in one.help for one in ALL[name].params if one.name != "help")
