"""Commands that look after people, tokens and join codes, straight on the data folder."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from platformdirs import user_data_path

from server.clock import utc_now
from server.enrolment import join_code_row
from server.errors import SettingsError
from server.opening import config_in, open_store
from server.people import link_job
from server.roles import ROLES, Role
from server.running import running_url
from server.secrets import MIN_PASSWORD_LENGTH, hash_of, hash_password, new_join_code, new_secret
from server.settings import load_settings
from server.store import Failed, Job, Store, Writes
from server.store.rows import AuditEntry, Grant, User

DEFAULT_DATA = user_data_path("scopestamp-collector", appauthor=False)

join_codes = typer.Typer(help="One-time codes with which agents enrol.", no_args_is_help=True)
users = typer.Typer(help="People who may sign in.", no_args_is_help=True)
tokens = typer.Typer(help="Bearer tokens for programs.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="The collector's data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
RoleName = Annotated[str, typer.Option("--role", help=f"One of {', '.join(ROLES)}.")]
Name = Annotated[str, typer.Option("--name", help="What it is called in the audit log.")]


@join_codes.command("new")
def new_code(
    instrument: Annotated[str, typer.Option(help="Name of the instrument, as people call it.")],
    site: Annotated[str, typer.Option(help="Where it stands.")],
    instrument_id: Annotated[
        str | None, typer.Option(help="Only for this id; also lets a new computer take over an instrument.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 30, help="How long the code is good.")] = 24,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make a join code: one use, for one instrument. It is shown once and kept only as a hash."""
    code = new_join_code()
    row = join_code_row(code, instrument, site, instrument_id, "command line", utc_now(), hours)
    _do(data, lambda writes: writes.add_join_code(row), f"join-code new for {instrument} at {site}")
    said = {
        "join_code": code,
        "instrument": instrument,
        "site": site,
        "expires_at": row.expires_at.isoformat(),
    }
    _say(
        as_json,
        said,
        f"{code}\nGood once, until {row.expires_at:%Y-%m-%d %H:%M} UTC, for {instrument} at {site}.",
    )


@users.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: RoleName = "viewer",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Add a person, or set a new role and password. The password is asked for, or read from stdin."""
    checked = _role(role)
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise SettingsError(f"A password has at least {MIN_PASSWORD_LENGTH} characters; nothing was changed.")
    user = User(name=name, role=checked, password=hash_password(password), added_at=utc_now())
    _do(data, lambda writes: writes.put_user(user), f"user add {name} as {role}")
    _say(as_json, {"user": name, "role": role}, f"{name} may sign in as {role}.")


@users.command("remove")
def remove_user(
    name: Annotated[str, typer.Argument(help="Who may no longer sign in.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Remove a person and end all their sessions at once."""
    if not _do(data, lambda writes: writes.remove_user(name), f"user remove {name}"):
        raise SettingsError(f"There is nobody called {name}; the admin page lists who there is.")
    _say(as_json, {"removed": name}, f"{name} may no longer sign in.")


@tokens.command("remove")
def remove_token(name: Name, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Remove the API tokens of a name; whoever uses them is shut out at once."""
    n_removed = _do(data, lambda writes: writes.remove_tokens(name), f"token remove {name}")
    if not n_removed:
        raise SettingsError(f"There is no token called {name}; nothing was changed.")
    _say(as_json, {"removed": name, "n_tokens": n_removed}, f"Removed {n_removed} token(s) called {name}.")


@tokens.command("new")
def new_token(
    name: Name, role: RoleName = "viewer", data: Data = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """Make an API token. It is shown once and kept only as a hash."""
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", name, _role(role), utc_now(), None)
    _do(data, lambda writes: writes.add_grant(grant), f"token new {name} as {role}")
    _say(as_json, {"token": secret, "name": name, "role": role}, secret)


def sign_in_link(
    name: Name = "admin",
    role: Annotated[str, typer.Option("--role", help="Role, if there is nobody of that name yet.")] = "admin",
    url: Annotated[
        str | None, typer.Option(help="Address of the collector; default: where it runs now.")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make a link that signs in once, within ten minutes. It makes the first administrator."""
    base = url or running_url(data)
    if base is None:
        raise SettingsError(
            "No collector runs on this data folder; start it, or give its address with --url."
        )
    secret = new_secret()
    _do(data, link_job(secret, name, _role(role), utc_now()), f"sign-in-link for {name}")
    link = f"{base.rstrip('/')}/sign-in/{secret}"
    _say(as_json, {"url": link, "name": name}, link)


def _role(role: str) -> Role:
    if role not in ROLES:
        raise typer.BadParameter(f"must be one of {', '.join(ROLES)}", param_hint="--role")
    return cast(Role, role)


def _do(data: Path, job: Job, action: str) -> Any:
    """Run a job with its audit entry in one transaction, and return its value."""
    entry = AuditEntry(utc_now(), "command line", action, "done")

    def audited(writes: Writes) -> Any:
        writes.add_audit(entry)
        return job(writes)

    with _store(data) as store:
        (outcome,) = store.write([audited])
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome.value


@contextmanager
def _store(data: Path) -> Iterator[Store]:
    with closing(open_store(data, load_settings(config_in(data)), does_checkpoint=False)) as store:
        yield store


def _say(as_json: bool, said: dict[str, Any], in_words: str) -> None:
    print(json.dumps(said, separators=(",", ":")) if as_json else in_words)
