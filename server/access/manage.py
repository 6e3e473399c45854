"""Commands that look after people, tokens and join codes, straight on the data folder."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from server.access.enrolment import join_code_row
from server.access.letting_in import Admission, end_of, new_token, put_person, remove_person
from server.access.people import Person, link_job
from server.access.roles import ROLES, Role
from server.access.scope import EVERYTHING, Scope, checked_scope
from server.access.secrets import MIN_PASSWORD_LENGTH, hash_password, new_join_code, new_secret
from server.clock import utc_now
from server.errors import SettingsError
from server.options import DEFAULT_DATA, AsJson, Config, Data, collector_on, opened, say
from server.running import running_url
from server.store import Failed, Job, Writes
from server.store.rows import AuditEntry, Grant, User

join_codes = typer.Typer(help="One-time codes with which agents enrol.", no_args_is_help=True)
users = typer.Typer(help="People who may sign in.", no_args_is_help=True)
tokens = typer.Typer(help="Bearer tokens for programs.", no_args_is_help=True)

_BY = Person("command line", "admin")
_ROLES = f"One of {', '.join(ROLES)}."
Sites = Annotated[list[str] | None, typer.Option("--site", help="Only its instruments; may be repeated.")]
Instruments = Annotated[
    list[str] | None, typer.Option("--instrument", help="Only the instrument of this id; may be repeated.")
]
Until = Annotated[str, typer.Option("--until", help="Last day of access (UTC), such as 2026-12-31.")]


@join_codes.command("new")
def new_code(
    instrument: Annotated[str, typer.Option(help="Name of the instrument, as people call it.")],
    site: Annotated[str, typer.Option(help="Where it stands.")],
    instrument_id: Annotated[
        str | None, typer.Option(help="Only for this id; also lets a new computer take over an instrument.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 30, help="How long the code is good.")] = 24,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a join code: one use, for one instrument. It is shown once and kept only as a hash."""
    code = new_join_code()
    row = join_code_row(code, instrument, site, instrument_id, _BY.name, utc_now(), hours)
    _do(data, config, lambda writes: writes.add_join_code(row), f"join-code new for {instrument} at {site}")
    said = {
        "join_code": code,
        "instrument": instrument,
        "site": site,
        "expires_at": row.expires_at.isoformat(),
    }
    good = f"Good once, until {row.expires_at:%Y-%m-%d %H:%M} UTC, for {instrument} at {site}."
    say(as_json, said, f"{code}\n{good}")


@users.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: Annotated[str, typer.Option("--role", help=f"{_ROLES} Default: viewer.")] = "",
    site: Sites = None,
    instrument: Instruments = None,
    until: Until = "",
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="Lift the sites, instruments and last day that held so far.")
    ] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add a person, or set a new password; role, limits and last day stay as they are unless told.

    The password is asked for, or read from stdin.
    """
    password = _password()
    with collector_on(data, config) as collector:
        with collector.store.reading() as reads:
            there = reads.user(name) or User(name, "viewer", None, utc_now())
        held = (EVERYTHING, None) if no_limits else (Scope.kept(there.scope), there.ends_at)
        scope = Scope.of(site or (), instrument or ()) if site or instrument else held[0]
        told = Admission(name, _role(role or there.role), scope, end_of(until) or held[1])
        checked_scope(scope.sites, scope.instruments, told.role)
        put_person(collector, _BY, told, "", hash_password(password))
    say(as_json, _in_json("user", told), f"{told} may sign in.")


@users.command("list")
def list_users(data: Data = DEFAULT_DATA, config: Config = None, as_json: AsJson = False) -> None:
    """Show who may sign in, as what, for which instruments and until when."""
    with opened(data, config) as store, store.reading() as reads:
        _show(as_json, "user", ((one, one.ends_at) for one in reads.users()))


@users.command("remove")
def remove_user(
    name: Annotated[str, typer.Argument(help="Who may no longer sign in.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person and end all their sessions at once."""
    with collector_on(data, config) as collector:
        if not remove_person(collector, _BY, name, ""):
            raise SettingsError(f"There is nobody called {name}; `user list` shows who there is.")
    say(as_json, {"removed": name}, f"{name} may no longer sign in.")


@tokens.command("new")
def make_token(
    name: Annotated[str, typer.Argument(help="What it is called in lists and in the audit log.")],
    role: Annotated[str, typer.Option("--role", help=_ROLES)] = "viewer",
    site: Sites = None,
    instrument: Instruments = None,
    until: Until = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make an API token. It is shown once and kept only as a hash."""
    scope = checked_scope(site or (), instrument or (), _role(role))
    told = Admission(name, _role(role), scope, end_of(until))
    with collector_on(data, config) as collector:
        secret = new_token(collector, _BY, told, "")
    say(as_json, {"token": secret, **_in_json("name", told)}, secret)


@tokens.command("list")
def list_tokens(data: Data = DEFAULT_DATA, config: Config = None, as_json: AsJson = False) -> None:
    """Show the API tokens there are; the secrets themselves are kept nowhere."""
    with opened(data, config) as store, store.reading() as reads:
        _show(as_json, "name", ((one, one.expires_at) for one in reads.tokens()))


@tokens.command("remove")
def remove_token(
    name: Annotated[str, typer.Argument(help="As `token list` shows it.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove the API tokens of a name; whoever uses them is shut out at once."""
    n_removed = _do(data, config, lambda writes: writes.remove_tokens(name), f"token remove {name}")
    if not n_removed:
        raise SettingsError(f"There is no token called {name}; nothing was changed.")
    say(as_json, {"removed": name, "n_tokens": n_removed}, f"Removed {n_removed} token(s) called {name}.")


def sign_in_link(
    name: Annotated[str, typer.Argument(help="Whom the link is for.")] = "admin",
    role: Annotated[str, typer.Option("--role", help="Role, if there is nobody of that name yet.")] = "admin",
    url: Annotated[
        str | None, typer.Option(help="Address of the collector; default: where it runs now.")
    ] = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a link that signs in once, within ten minutes. It makes the first administrator."""
    base = url or running_url(data)
    if base is None:
        raise SettingsError(
            "No collector runs on this data folder; start it, or give its address with --url."
        )
    checked_scope((), (), _role(role))  # whom limits belong to is added by `user add` first
    secret = new_secret()
    _do(data, config, link_job(secret, name, _role(role), utc_now()), f"sign-in-link for {name}")
    link = f"{base.rstrip('/')}/sign-in/{secret}"
    say(as_json, {"url": link, "name": name}, link)


def _password() -> str:
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise SettingsError(f"A password has at least {MIN_PASSWORD_LENGTH} characters; nothing was changed.")
    return password


def _role(role: str) -> Role:
    if role not in ROLES:
        raise typer.BadParameter(f"must be one of {', '.join(ROLES)}", param_hint="--role")
    return cast(Role, role)


def _show(as_json: bool, what: str, admitted: Iterable[tuple[User | Grant, datetime | None]]) -> None:
    for one, ends_at in admitted:
        told = Admission(one.name, one.role, Scope.kept(one.scope), ends_at)
        say(as_json, _in_json(what, told), str(told))


def _in_json(what: str, told: Admission) -> dict[str, object]:
    return {
        what: told.name,
        "role": told.role,
        "sites": sorted(told.scope.sites),
        "instruments": sorted(told.scope.instruments),
        "ends_at": told.ends_at.isoformat() if told.ends_at else None,
    }


def _do(data: Path, config: Path | None, job: Job, action: str) -> Any:
    """Run a job with its audit entry in one transaction, and return its value."""
    entry = AuditEntry(utc_now(), _BY.name, action, "done")

    def audited(writes: Writes) -> Any:
        writes.add_audit(entry)
        return job(writes)

    with opened(data, config) as store:
        (outcome,) = store.write([audited])
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome.value
