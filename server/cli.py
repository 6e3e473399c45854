"""``scopestamp-server``: run the collector, and look after who may use it.

The commands beside `run` work on the data folder itself, whether the collector runs or not.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from server.access import manage
from server.demo_fleet.command import demo_fleet
from server.errors import CollectorError
from server.forwarding import commands as forwarding
from server.grafana import dashboard_json
from server.keeping import care
from server.keeping.migrating import migrate
from server.logs import log_to_stderr
from server.options import DEFAULT_DATA, AsJson, Config, Data, settings_of
from server.running import run as run_collector
from server.settings import Settings, to_toml

app = typer.Typer(
    name="scopestamp-server",
    help="Collects what Scopestamp agents record, keeps it, and shows it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("scopestamp"))
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def run(
    data: Data = DEFAULT_DATA,
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    tls_ends_at_proxy: Annotated[
        bool, typer.Option("--tls-ends-at-proxy", help="A reverse proxy in front terminates TLS.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the collector until Ctrl-C or SIGTERM."""
    log_to_stderr()
    said = {"host": host, "port": port, "tls_ends_at_proxy": tls_ends_at_proxy or None}
    run_collector(data, _overridden(settings_of(data, config), said), as_json=as_json)


def print_config(data: Data = DEFAULT_DATA, config: Config = None) -> None:
    """Print the effective settings as commented TOML: a file to start from."""
    print(to_toml(settings_of(data, config)), end="")


def grafana_dashboard() -> None:
    """Print a Grafana dashboard over /metrics, to be imported there."""
    print(dashboard_json(), end="")


def _overridden(settings: Settings, said: dict[str, object]) -> Settings:
    update = {key: value for key, value in said.items() if value is not None}
    return settings.model_copy(update={"listen": settings.listen.model_copy(update=update)})


_RUN, _PEOPLE, _STORE, _SITES = "Run", "Who may come in", "Look after the store", "Many sites"
_COMMANDS = (
    ("run", run, _RUN),
    ("print-config", print_config, _RUN),
    ("demo-fleet", demo_fleet, _RUN),
    ("grafana-dashboard", grafana_dashboard, _RUN),
    ("sign-in-link", manage.sign_in_link, _PEOPLE),
    ("backup", care.backup, _STORE),
    ("restore", care.restore, _STORE),
    ("verify", care.verify, _STORE),
    ("checkpoint", care.checkpoint, _STORE),
    ("migrate", migrate, _STORE),
    ("retention", care.give_up, _STORE),
)
_GROUPS = (
    ("user", manage.users, _PEOPLE),
    ("token", manage.tokens, _PEOPLE),
    ("join-code", manage.join_codes, _PEOPLE),
    ("store", care.stores, _STORE),
    ("downstream", forwarding.downstream, _SITES),
    ("upstream", forwarding.upstream, _SITES),
)
for name, command, panel in _COMMANDS:
    app.command(name, rich_help_panel=panel)(command)
for name, group, panel in _GROUPS:
    app.add_typer(group, name=name, rich_help_panel=panel)


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except CollectorError as error:
        print(f"scopestamp-server: {error}", file=sys.stderr)
        sys.exit(1)
