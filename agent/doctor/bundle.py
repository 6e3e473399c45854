"""A zip for support: what the doctor found, the settings and the ends of the logs, without names, paths and secrets.

Records, images, keys and join codes are never opened for it. Settings are told by what kind they are: numbers and choices as
they stand, texts only as set or not.
"""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal, get_origin

from agent.doctor.examine import Examination
from agent.doctor.finding import Place
from agent.doctor.logs import tail
from agent.doctor.redact import Redactor, names_here, names_in
from agent.errors import ScopestampError
from agent.settings import DEMO_CONFIG, SIMULATED_CONFIG, Section

_MOST_NAMES = 20_000


def write_bundle(path: Path, place: Place, found: Examination) -> list[str]:
    """Write the zip; return the names of the files in it.

    Raises
    ------
    ScopestampError
        It cannot be written.
    """
    redact = Redactor(names_here() | names_in(_texts(place.settings)) | names_in(_samples(place.data_dir)))
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in _files(place, found):
                bundle.writestr(name, redact(text))
            return bundle.namelist()
    except OSError as error:
        raise ScopestampError(
            f"The bundle {path} cannot be written: {error.strerror or error}. Name a file in a folder of yours."
        ) from error


def _files(place: Place, found: Examination) -> Iterator[tuple[str, str]]:
    for finding in found.findings:
        yield f"findings/{finding.topic}-{finding.name}.txt".replace(" ", "-"), _lines(finding.as_dict())
    yield "settings.txt", "\n".join(_settings(place.settings, "")) + "\n"
    installed = sorted({f"{one.name} {one.version}" for one in distributions()}, key=str.casefold)
    yield "packages.txt", "\n".join(installed) + "\n"
    yield "spool.txt", "\n".join(_listing(place.data_dir / "spool")) + "\n"
    for file in sorted((place.data_dir / "logs").glob("*.log")):
        with suppress(OSError):
            yield f"logs/{file.name}", tail(file)


def _lines(facts: Mapping[str, Any]) -> str:
    own = {name: value for name, value in facts.items() if name != "facts"}
    return "".join(f"{name}: {value}\n" for name, value in {**own, **facts["facts"]}.items())


def _settings(section: Section, prefix: str) -> Iterator[str]:
    """Yield a line for every key."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            is_choice = get_origin(field.annotation) is Literal or value in (DEMO_CONFIG, SIMULATED_CONFIG)
            yield f"{prefix}{name} = {_told(value, is_choice)}"


def _told(value: Any, is_choice: bool) -> str:
    if isinstance(value, bool | int | float) or is_choice:
        return str(value)
    if isinstance(value, str):
        return "(set)" if value else "(not set)"
    return f"({len(value)} of them)"


def _texts(section: Section) -> Iterator[str]:
    """Yield every text of the settings that is no choice of ours."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _texts(value)
        elif isinstance(value, str) and get_origin(field.annotation) is not Literal:
            if value not in (DEMO_CONFIG, SIMULATED_CONFIG):
                yield value
        elif isinstance(value, tuple) and name in ("folders", "adapter_paths"):
            yield from value


def _samples(data_dir: Path) -> Iterator[str]:
    """Yield the names of datasets that the agent knows: they are what people call their samples."""
    for file, sql in (
        ("chronicle.sqlite", "SELECT path FROM stamped"),
        ("watch.sqlite", "SELECT path FROM dataset"),
    ):
        path = data_dir / file
        if not path.is_file():
            continue
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True, timeout=2)) as db:
            yield from (str(row[0]) for row in db.execute(f"{sql} LIMIT {_MOST_NAMES}"))
    for journal in (data_dir / "open").glob("*/*"):
        yield journal.name


def _listing(folder: Path) -> Iterator[str]:
    """Yield size and place of every file of the spool; their names are numbers of ours."""
    for file in sorted(folder.rglob("*")):
        with suppress(OSError):
            if file.is_file():
                yield f"{file.stat().st_size:>12} {file.relative_to(folder).as_posix().replace('/', ' ')}"
