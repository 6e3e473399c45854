"""Commands that look after the store: backup, restore, verify, copy, retention."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from server.clock import utc_now
from server.errors import SettingsError
from server.keeping import retention
from server.keeping.backup import restore_backup, write_backup
from server.keeping.checkpoints import KEY_FILE, signer_in
from server.keeping.copying import copy_store
from server.keeping.verify import verify as verify_store
from server.opening import open_store
from server.options import DEFAULT_DATA, AsJson, Config, Data, opened, say, settings_of
from server.settings import Settings
from server.store import Failed, Job, SqliteStore, Store

stores = typer.Typer(help="Moving everything to another engine.", no_args_is_help=True)


def backup(
    target: Annotated[Path, typer.Argument(help="New file to write.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a checked copy of everything into one SQLite file, while the collector runs."""
    n_bytes = write_backup(data, settings_of(data, config), target)
    say(as_json, {"backup": str(target), "n_bytes": n_bytes}, f"Wrote {target}, {n_bytes} bytes, checked.")


def restore(
    source: Annotated[Path, typer.Argument(help="File that `backup` wrote.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup into a data folder that holds no store yet, checked before and after."""
    n_bytes = restore_backup(source, data, settings_of(data, config))
    say(as_json, {"restored": str(data), "n_bytes": n_bytes}, f"Restored {source} into {data}.")


def verify(
    file: Annotated[Path | None, typer.Argument(help="A backup; without it the store of --data.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Verifier of the checkpoints, as `verify` shows it where the key is.")
    ] = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="One that `checkpoint` printed once; may be repeated."),
    ] = None,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify every chain, signature and checkpoint, and the audit log; exit code 1 when anything does not fit."""
    settings = settings_of(data, config)
    if key is None and (data / KEY_FILE).exists():
        key = signer_in(data, settings.collector.name).verifier
    chosen = _backup_store(file) if file else open_store(data, settings, does_checkpoint=False)
    with closing(chosen) as store, store.reading() as reads:
        verdict = verify_store(reads, key, [_read(one) for one in kept or ()])
    told = (
        f"{verdict.n_batches} batches, {verdict.n_records} records ({verdict.n_given_up} given up by retention), "
        f"{verdict.n_audit_entries} audit entries, {verdict.n_checkpoints} checkpoints verified"
        + (f" with {key}." if key else "; no key for their signatures.")
    )
    say(
        as_json,
        asdict(verdict),
        "\n".join([told, *verdict.problems] if verdict.problems else [told, "Everything fits."]),
    )
    if verdict.problems:
        raise typer.Exit(1)


def checkpoint(data: Data = DEFAULT_DATA, config: Config = None) -> None:
    """Print the newest signed checkpoint. Kept elsewhere, it proves later what was stored: see `verify`."""
    with opened(data, config) as store, store.reading() as reads:
        newest = reads.checkpoints(limit=1)
    if not newest:
        raise SettingsError("There is no checkpoint yet; a running collector makes one every hour.")
    sys.stdout.buffer.write(newest[0].note.encode())


@stores.command("copy")
def copy(
    source: Annotated[str, typer.Argument(help="postgresql://… or a data folder.")],
    target: Annotated[str, typer.Argument(help="The same, empty.")],
    as_json: AsJson = False,
) -> None:
    """Copy a store to another engine; both sides are counted and hashed, table by table."""
    with _named(source) as here, _named(target) as there:
        for copied in copy_store(here, there):
            say(as_json, asdict(copied), f"{copied.table:14} {copied.n_rows:>10}  {copied.sha256[:16]}")


def give_up(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give up now what the settings say under retention, rather than at the collector's next daily run."""
    settings, now = settings_of(data, config), utc_now()
    with closing(open_store(data, settings, does_checkpoint=False)) as store:
        if dry_run:
            counts = retention.count(store, settings.retention, now)
        else:
            counts = retention.apply(store, settings.retention, now, lambda job: _done(store, job))
    lines = [f"{rule}: {n} records" for rule, n in counts.items()] or ["No rule is set; see [retention]."]
    say(as_json, {"is_dry_run": dry_run, "given_up": counts}, "\n".join(lines))


def _done(store: Store, job: Job) -> object:
    (outcome,) = store.write([job])
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome.value


@contextmanager
def _named(name: str) -> Iterator[Store]:
    settings = Settings()
    if name.startswith(("postgresql://", "postgres://")):
        store = settings.store.model_copy(update={"postgresql": name})
        settings = settings.model_copy(update={"store": store})
    with closing(
        open_store(Path(name) if not settings.store.postgresql else Path(), settings, does_checkpoint=False)
    ) as opened:
        yield opened


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read the checkpoint {file}: {error}.") from error


def _backup_store(file: Path) -> Store:
    if not file.is_file():
        raise SettingsError(f"There is no file {file}.")
    return SqliteStore(file.parent, file_name=file.name, does_checkpoint=False)
