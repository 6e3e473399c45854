"""QC runs kept on this computer: time zero, and every run since, for trends without a collector.

<data>/qc/runs/<routine>/<time>-<run>.json     the QcResult record of a run, in its canonical bytes
<data>/qc/runs/<routine>/<time>-<run>.npz      what its figures are drawn from; see `arrays`
<data>/qc/baselines.json                       which run is time zero, by routine and light path
<data>/qc/invalid.json                         runs that were declared invalid, and why; they are kept, and count no more
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ScopestampError
from agent.exports.files import replace_file
from agent.records import QcResult, RecordError, decode, encode

if TYPE_CHECKING:  # it brings numba, which a capture has no use for
    from qc_routines.results import Measurement

TOLD_FOR = timedelta(days=400)
"""How far back results are looked for; beyond the longest interval at which a routine is due, a year."""
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
        """Keep a run, and what its figures are drawn from when it is given; return where."""
        if measurement is not None:
            self.keep_measurement(result, measurement)
        path = self._path(result)
        replace_file(path, encode(result))
        return path

    def keep_measurement(self, result: QcResult, measurement: Measurement) -> None:
        """Keep what the figures of a run are drawn from, beside where it is kept."""
        from agent.quality.arrays import ARRAYS, keep_arrays

        keep_arrays(measurement, self._path(result).with_suffix(ARRAYS))

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
            facts["reference_mw"] = (figures_of(zero).get("power"), "time zero")
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
        invalid = self._read_json("invalid.json")
        invalid[str(result.run_id)] = f"{at.isoformat()} {reason}"
        self._write_json("invalid.json", invalid)

    def invalid(self) -> dict[str, str]:
        """Return the runs that were declared invalid, with when and why."""
        return self._read_json("invalid.json")

    def set_baseline(self, result: QcResult) -> None:
        """Make a run time zero of its routine and light path."""
        baselines = self._read_json("baselines.json")
        baselines[_key(result.routine, result.light_path)] = str(result.run_id)
        self._write_json("baselines.json", baselines)

    def baseline(self, routine: str, light_path: Mapping[str, str]) -> QcResult | None:
        """Return the run that is time zero, or None when none was set."""
        run_id = self._read_json("baselines.json").get(_key(routine, light_path))
        return self.run(run_id) if run_id else None

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

    def _write_json(self, name: str, value: Mapping[str, str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / name, json.dumps(value, indent=2, sort_keys=True).encode())


def figures_of(result: QcResult) -> dict[str, float]:
    """Return the measured figures of a run by name."""
    return {
        metric.metric: float(metric.measured.value)
        for metric in result.metrics
        if metric.measured is not None and not isinstance(metric.measured.value, str | bool)
    }


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
