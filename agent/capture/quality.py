"""The quality control that held for an acquisition, looked up where the runs are kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agent.exports import Bundle, view_of
from agent.exports.qc_stamp import newest, qc_stamp
from agent.quality.history import History, HistoryError
from agent.records import AcquisitionFinished, Profile, QcResult


class KeptQuality:
    """Stamps acquisitions with the QC that is kept in a data folder.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    profile : Profile, optional
        What the facility states: under which names parts of the light path are known.
    """

    def __init__(self, data_dir: Path, profile: Profile | None = None) -> None:
        self._history, self._profile = History(data_dir), profile or Profile()
        self._paths: tuple[Path, ...] = ()
        self._results: list[QcResult] = []
        self._problems: list[str] = []

    def stamped(self, record: AcquisitionFinished) -> AcquisitionFinished:
        """Return an acquisition with the QC that held; what could not be read is among its problems."""
        try:
            self._read_again(record.started.wall_at)
        except (HistoryError, OSError) as error:
            return _with_problems(record, [f"Quality control could not be looked up: {error}"])
        view = view_of(Bundle(record, profile=self._profile))
        return _with_problems(record, self._problems).model_copy(
            update={"qc": qc_stamp(view, self._results, self._zero_of)}
        )

    def _read_again(self, moment: datetime) -> None:
        """Read the runs where there are others than the last time: acquisitions may follow within a second."""
        paths = self._history.paths_before(moment)
        if paths != self._paths:
            results, self._problems = self._history.read(paths)
            self._paths, self._results = paths, newest(results)

    def _zero_of(self, result: QcResult) -> QcResult | None:
        try:
            return self._history.baseline(result.routine, result.light_path)
        except (HistoryError, OSError):  # its file is gone; the result itself is still worth having
            return None


def _with_problems(record: AcquisitionFinished, problems: list[str]) -> AcquisitionFinished:
    return record.model_copy(update={"problems": (*record.problems, *problems)})
