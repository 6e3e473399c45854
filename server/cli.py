"""``scopestamp-server``: run the collector, and look after who may use it.

The commands beside `run` work on the data folder itself, whether the collector runs or not.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from server import care, manage
from server.demo_fleet.command import demo_fleet
from server.errors import CollectorError
from server.forwarding import commands as forwarding
from server.grafana import dashboard_json
from server.opening import config_in
from server.running import run as run_collector
from server.settings import Settings, load_settings, to_toml

app = typer.Typer(
    name="scopestamp-server",
    help="Collects what Scopestamp agents record, keeps it, and shows it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(manage.join_codes, name="join-code")
app.add_typer(manage.users, name="user")
app.add_typer(manage.tokens, name="token")
app.command("sign-in-link")(manage.sign_in_link)
app.add_typer(care.stores, name="store")
app.add_typer(forwarding.downstream, name="downstream")
app.add_typer(forwarding.upstream, name="upstream")
for command in (care.backup, care.restore, care.verify, care.migrate):
    app.command()(command)
app.command("retention")(care.give_up)
app.command("demo-fleet")(demo_fleet)

Data = Annotated[Path, typer.Option("--data", help="Folder that holds everything the collector keeps.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings as TOML; see print-config.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output, one JSON object a line.")]


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


@app.command()
def run(
    data: Data = manage.DEFAULT_DATA,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    config: Config = None,
    tls_ends_at_proxy: Annotated[
        bool, typer.Option("--tls-ends-at-proxy", help="A reverse proxy in front terminates TLS.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the collector until Ctrl-C or SIGTERM."""
    _log_to_stderr()
    said = {"host": host, "port": port, "tls_ends_at_proxy": tls_ends_at_proxy or None}
    run_collector(data, _overridden(load_settings(config or config_in(data)), said), as_json=as_json)


@app.command("print-config")
def print_config(config: Config = None) -> None:
    """Print the effective settings as commented TOML."""
    print(to_toml(load_settings(config)), end="")


@app.command("grafana-dashboard")
def grafana_dashboard() -> None:
    """Print a Grafana dashboard over /metrics; import it there and choose the Prometheus that scrapes this collector."""
    print(dashboard_json(), end="")


def _overridden(settings: Settings, said: dict[str, object]) -> Settings:
    update = {key: value for key, value in said.items() if value is not None}
    return settings.model_copy(update={"listen": settings.listen.model_copy(update=update)})


def _log_to_stderr() -> None:
    """Log in colour for a person, in whole plain lines for a file."""
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    rich = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
    rich.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[rich if sys.stderr.isatty() else plain])


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except CollectorError as error:
        print(f"scopestamp-server: {error}", file=sys.stderr)
        sys.exit(1)
