"""``scopestamp-server demo-fleet``: fill a data folder with a fleet that does not exist, and serve it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from server.access.people import link_job
from server.access.secrets import new_secret
from server.clock import utc_now
from server.collector import Collector
from server.demo_fleet.filling import Filled, fill, filled_in
from server.demo_fleet.history import History
from server.demo_fleet.living import Living
from server.demo_fleet.script import ZONE, Span, fleet
from server.opening import open_store
from server.options import AsJson, Config, settings_of
from server.running import run
from server.settings import Settings

_MOST_FAULTS_SHOWN = 12


def demo_fleet(
    instruments: Annotated[int, typer.Option(min=1, max=5000, help="How many.")] = 200,
    years: Annotated[float, typer.Option(min=0.2, max=20, help="How much history.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same fleet.")] = 1,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder to fill, or one filled before; default: a temporary one."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """See what the collector is: hundreds of simulated instruments, years of history, faults whose truth is known."""
    with tempfile.TemporaryDirectory(prefix="scopestamp-fleet-") as temporary:
        folder = data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        settings = settings_of(folder, config)
        listen = settings.listen.model_copy(update={"port": port})
        collector = settings.collector.model_copy(update={"time_zone": ZONE.key})
        settings = settings.model_copy(update={"listen": listen, "collector": collector})
        console = Console(stderr=True)
        filled = _filled(folder, settings, (instruments, years, seed), console)
        _show(filled, console)
        run(folder, settings, as_json=as_json, beside=_living(filled), tell=_telling(filled, as_json))


def _filled(folder: Path, settings: Settings, size: tuple[int, float, int], console: Console) -> Filled:
    """Return what the folder was filled with; it is filled when nothing was."""
    with closing(open_store(folder, settings)) as store:
        known = filled_in(store)
        if known is not None:
            return known
        with Progress(console=console) as progress:
            task = progress.add_task(f"Weeks of {size[0]} instruments")
            return fill(
                store, *size, utc_now(), lambda done, of: progress.update(task, completed=done, total=of)
            )


def _living(filled: Filled) -> Callable[[Collector], Living]:
    span = Span(filled.ends_at, filled.n_weeks)
    return lambda collector: Living(
        collector, [History(one, span) for one in fleet(filled.n_instruments, span, filled.seed)], span
    )


def _telling(filled: Filled, as_json: bool) -> Callable[[Collector, str], None]:
    def tell(collector: Collector, url: str) -> None:
        link = f"{url}/sign-in/{_link(collector, collector.now())}"
        told = {"event": "ready", "url": url, "sign_in": link, **filled.told()}
        in_words = f"The fleet: {link}\nThe link signs in once, within ten minutes. Ctrl-C stops it."
        print(json.dumps(told, separators=(",", ":")) if as_json else in_words, flush=True)

    return tell


def _link(collector: Collector, now: datetime) -> str:
    secret = new_secret()
    collector.writer.do(link_job(secret, "demo", "admin", now))
    return secret


def _show(filled: Filled, console: Console) -> None:
    table = Table(title="What goes wrong, and when (the first of them)", title_justify="left")
    for head in ("Instrument", "Fault", "From"):
        table.add_column(head)
    for fault in filled.faults[:_MOST_FAULTS_SHOWN]:
        table.add_row(fault.instrument_id, fault.kind.replace("_", " "), f"{fault.at:%Y-%m-%d}")
    console.print(table)
