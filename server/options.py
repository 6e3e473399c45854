"""What every command beside the running collector takes and does alike: its folder, its settings, how it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_path

from server.collector import Collector
from server.opening import config_in, open_store
from server.settings import Settings, load_settings
from server.store import Store

DEFAULT_DATA = user_data_path("scopestamp-collector", appauthor=False)

Data = Annotated[Path, typer.Option("--data", help="The collector's folder: everything it keeps.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings as TOML; default: server.toml in --data.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output, one JSON object a line.")]


def settings_of(data: Path, config: Path | None) -> Settings:
    """Return the settings in the file that is named, or in the data folder's, or the defaults."""
    return load_settings(config or config_in(data))


@contextmanager
def opened(data: Path, config: Path | None) -> Iterator[Store]:
    """Give the store beside a collector that may be running on it."""
    with closing(open_store(data, settings_of(data, config), does_checkpoint=False)) as store:
        yield store


@contextmanager
def collector_on(data: Path, config: Path | None) -> Iterator[Collector]:
    """Give a collector without its web server, beside one that may be running."""
    settings = settings_of(data, config)
    with closing(Collector.on(open_store(data, settings, does_checkpoint=False), settings)) as collector:
        yield collector


def say(as_json: bool, said: object, in_words: str) -> None:
    """Print one thing, for a program or for a person."""
    print(json.dumps(said, separators=(",", ":")) if as_json else in_words)
