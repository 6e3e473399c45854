"""QC runs kept on this computer: time zero, and every run since, for trends without a collector.

<data>/qc/runs/<routine>/<time>-<run>.json     the QcResult record of a run, in its canonical bytes
<data>/qc/runs/<routine>/<time>-<run>.npz      what its figures are drawn from; see `arrays`
<data>/qc/baselines.json                       which run is time zero, and since when, by routine and light path
<data>/qc/invalid.json                         runs that were declared invalid, and why; they are kept, and count no more
<data>/qc/collector.json                       the same two, as people said it at the collector; replaced when it says more
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ScopestampError
from agent.files import replace_file
from agent.records import QcResult, RecordError, decode, encode
from agent.records.schedules import BaselineRun, InvalidRun

if TYPE_CHECKING:  # it brings numba, which a capture has no use for
    from qc_routines.results import Measurement

TOLD_FOR = timedelta(days=400)
"""How far back results are looked for; beyond the longest interval at which a routine is due, a year."""
_INVALID, _BASELINES, _COLLECTOR = "invalid.json", "baselines.json", "collector.json"
_STAMP = "%Y%m%dT%H%M%SZ"


class HistoryError(ScopestampError):
    """The QC history cannot be read or has no such run; the message says what to do."""


class History:
    """The QC runs of one data folder.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "qc"

    def keep(self, result: QcResult, measurement: Measurement | None = None) -> Path:
        """Keep a run, and what its figures are drawn from when it is given; return where.

        Raises
        ------
        HistoryError
            The disk is full or fails.
        """
        if measurement is not None:
            self.keep_measurement(result, measurement)
        with self._written():
            path = self._path(result)
            replace_file(path, encode(result))
        return path

    def keep_measurement(self, result: QcResult, measurement: Measurement) -> None:
        """Keep what the figures of a run are drawn from, beside where it is kept; raises as `keep` does."""
        from agent.quality.arrays import ARRAYS, keep_arrays

        with self._written():
            keep_arrays(measurement, self._path(result).with_suffix(ARRAYS))

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryError(
                f"The QC history in {self._folder} cannot be written ({error}). Free space on the disk, or see who may write "
                "there."
            ) from error

    def _path(self, result: QcResult) -> Path:
        folder = self._folder / "runs" / result.routine
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{result.captured.wall_at.strftime(_STAMP)}-{result.run_id}.json"

    def measurement(self, result: QcResult) -> Measurement | None:
        """Return a run's measurement as far as its figures need it; None when nothing was kept beside the record."""
        from agent.quality.arrays import ARRAYS, kept_measurement

        found = sorted((self._folder / "runs" / result.routine).glob(f"*-{result.run_id}{ARRAYS}"))
        return kept_measurement(result, found[0]) if found else None

    def facts(self, routine: str, light_path: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
        """Return what time zero tells the measurement of a routine itself: facts by name, each with its source."""
        facts: dict[str, tuple[Any, str]] = {}
        if routine == "sample_power" and (zero := self.baseline(routine, light_path)):
            facts["reference_mw"] = (_powers(zero), "time zero")
        if routine == "illumination_change" and (path := self._reference_image(light_path)):
            facts["reference_image"] = (str(path), "time zero of the field illumination")
        return facts

    def _reference_image(self, light_path: Mapping[str, str]) -> Path | None:
        """Return the frame of the field that is time zero, if it is still where the run left it."""
        zero = self.baseline("illumination_change", light_path) or self.baseline("illumination", light_path)
        names = [file.name for file in zero.inputs] if zero else []
        places = [self._folder / "images" / name for name in names if "-image-" in name]
        return next((place for place in places if place.exists()), None)

    def runs(self, routine: str, light_path: Mapping[str, str] | None = None) -> list[QcResult]:
        """Return the runs of a routine, oldest first; only those of one light path when it is given."""
        found = [_read(path) for path in sorted((self._folder / "runs" / routine).glob("*.json"))]
        return [run for run in found if light_path is None or run.light_path == dict(light_path)]

    def run(self, run_id: str) -> QcResult:
        """Return the run whose id begins with `run_id`.

        Raises
        ------
        HistoryError
            There is none, or more than one.
        """
        paths = [
            path
            for path in self._folder.glob("runs/*/*.json")
            if path.stem.split("-", 1)[1].startswith(run_id)
        ]
        if len(paths) != 1:
            what = "no run" if not paths else f"{len(paths)} runs"
            raise HistoryError(
                f"There is {what} whose id begins with {run_id!r}; 'scopestamp qc history' lists them."
            )
        return _read(paths[0])

    def before(self, moment: datetime) -> tuple[list[QcResult], list[str]]:
        """Return the runs of the time before `moment` that count, and what could not be read.

        A file that cannot be read costs its run, never the others.
        """
        return self.read(self.paths_before(moment))

    def paths_before(self, moment: datetime) -> tuple[Path, ...]:
        """Return the files of the runs that `before` tells, without reading them."""
        bounds = (moment - TOLD_FOR).strftime(_STAMP), moment.strftime(_STAMP)
        invalid = self.invalid()
        return tuple(
            path
            for path in sorted(self._folder.glob("runs/*/*.json"))
            for when, _, run_id in (path.stem.partition("-"),)
            if bounds[0] <= when <= bounds[1] and run_id not in invalid
        )

    def read(self, paths: Iterable[Path]) -> tuple[list[QcResult], list[str]]:
        """Return the runs in files, and what could not be read."""
        runs, problems = [], []
        for path in paths:
            try:
                runs.append(_read(path))
            except HistoryError as error:
                problems.append(str(error))
        return runs, problems

    def invalidate(self, result: QcResult, reason: str, at: datetime) -> None:
        """Declare a run invalid: it is kept, and no acquisition from now on is said to have held it."""
        invalid = self._read_json(_INVALID)
        invalid[str(result.run_id)] = f"{at.isoformat()} {reason}"
        self._write_json(_INVALID, invalid)

    def invalid(self) -> dict[str, str]:
        """Return the runs that were declared invalid here or at the collector, with when and why."""
        return {**self._of_collector("invalid"), **self._read_json(_INVALID)}

    def set_baseline(self, result: QcResult, at: datetime | None = None) -> None:
        """Make a run time zero of its routine and light path; since `at`, now when omitted."""
        baselines = self._read_json(_BASELINES)
        at = at or datetime.now(UTC)
        baselines[_key(result.routine, result.light_path)] = f"{result.run_id} {at.isoformat()}"
        self._write_json(_BASELINES, baselines)

    def baseline(self, routine: str, light_path: Mapping[str, str]) -> QcResult | None:
        """Return the run that is time zero, or None when none was set.

        Of what was chosen here and at the collector the later choice holds; one that is invalid never does, nor one
        from the collector whose run is not kept here.
        """
        key, invalid = _key(routine, light_path), self.invalid()
        own, theirs = self._read_json(_BASELINES).get(key, ""), self._of_collector("baselines").get(key, "")
        own_id, their_id = own.partition(" ")[0], theirs.partition(" ")[0]
        is_theirs = their_id and their_id not in invalid and self._has(their_id)
        if is_theirs and _since(theirs) >= _since(own):
            return self.run(their_id)
        if own_id and own_id not in invalid:
            return self.run(own_id)
        return self.run(their_id) if is_theirs else None

    def heed(self, invalid_runs: Iterable[InvalidRun], baselines: Iterable[BaselineRun]) -> None:
        """Keep all that people said of the runs at the collector, in place of what they had said before."""
        said = {
            "invalid": {
                str(one.run_id): f"{one.at.isoformat()} {one.reason} ({one.by}, at the collector)"
                for one in invalid_runs
            },
            "baselines": {
                _key(one.routine, one.light_path): f"{one.run_id} {one.at.isoformat()}" for one in baselines
            },
        }
        if said != {name: self._of_collector(name) for name in said}:
            self._write_json(_COLLECTOR, said)

    def _has(self, run_id: str) -> bool:
        return any(self._folder.glob(f"runs/*/*-{run_id}.json"))

    def _of_collector(self, name: str) -> dict[str, str]:
        """Return one part of what the collector said last; what is damaged is fetched again when it says more."""
        try:
            part = json.loads((self._folder / _COLLECTOR).read_bytes())[name]
        except (OSError, ValueError, LookupError, TypeError):
            return {}
        return part if isinstance(part, dict) else {}

    def _read_json(self, name: str) -> dict[str, str]:
        path = self._folder / name
        if not path.is_file():
            return {}
        try:
            found: dict[str, str] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise HistoryError(
                f"{path} is not valid JSON: {error}. Mend or delete it; runs are kept elsewhere."
            ) from error
        return found

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        with self._written():
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / name, json.dumps(value, indent=2, sort_keys=True).encode())


def _powers(zero: QcResult) -> float | dict[str, float] | None:
    """Return the power of a run, or that of each of its lines by name."""
    figures = figures_of(zero)
    of_lines = {name[6:-1]: power for name, power in figures.items() if name.startswith("power[")}
    return of_lines or figures.get("power")


def figures_of(result: QcResult) -> dict[str, float]:
    """Return the measured figures of a run by name."""
    return {
        metric.metric: float(metric.measured.value)
        for metric in result.metrics
        if metric.measured is not None and not isinstance(metric.measured.value, str | bool)
    }


def _since(choice: str) -> str:
    """Return since when a choice holds; empty, which is before all others, where that was not noted."""
    return choice.partition(" ")[2]


def _key(routine: str, light_path: Mapping[str, str]) -> str:
    return json.dumps([routine, dict(light_path)], sort_keys=True)


def _read(path: Path) -> QcResult:
    try:
        record = decode(path.read_bytes())
    except (OSError, RecordError) as error:
        raise HistoryError(f"The QC run {path} cannot be read: {error}. Move it away to go on.") from error
    if not isinstance(record, QcResult):
        raise HistoryError(f"{path} is no QC result. Move it away to go on.")
    return record
