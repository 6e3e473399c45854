"""Looking without our listener: the beginning and end of acquisitions and live mode are seen from outside."""

from __future__ import annotations

from drivers.mmstudio.face import Dataset, dataset_of
from drivers.mmstudio.run_watch import RunWatch
from drivers.mmstudio.session import Session
from drivers.mmstudio.state_watch import StateWatch
from drivers.readings import Moment

_NO_DATASET_LOOKS = 4  # so often a run is looked at for its dataset before it is told without one


class OutsideWatch:
    """Notices what a Studio does from what it answers.

    Parameters
    ----------
    states : StateWatch
        Knows the instrument.
    runs : RunWatch
        Keeps the acquisition that is under way.
    """

    def __init__(self, states: StateWatch, runs: RunWatch) -> None:
        self._states, self._runs = states, runs
        self._n_looks = 0

    def look(self, session: Session) -> None:
        """Ask, and tell what began or ended since the last time."""
        is_acquiring = session.face.is_acquiring()
        if is_acquiring and self._runs.run is None:
            self._begin(session)
        elif self._runs.run is not None and not is_acquiring:
            self._end()
        else:
            self._n_looks = 0
        is_live = session.face.is_live()
        if is_live != self._states.known.is_live:
            self._states.toggle_live(Moment.now(), is_live)

    def _begin(self, session: Session) -> None:
        """Tell of a run once its dataset is shown, or is not after a few looks."""
        self._n_looks += 1
        providers = session.face.datasets()
        if not providers and self._n_looks < _NO_DATASET_LOOKS:
            return
        newest = providers.pop() if providers else None
        for provider in providers:
            provider.release()
        dataset = dataset_of(newest) if newest is not None else Dataset(None, 0)
        outputs = (dataset.path,) if dataset.path else ()
        settings = dataset.summary.get("MdaSettings") or session.face.settings()
        state = self._states.read(session)
        run = self._runs.start(session, Moment.now(), settings, dataset.summary, outputs, state)
        run.provider = newest

    def _end(self) -> None:
        assert self._runs.run is not None
        n_images = None
        if (provider := self._runs.run.provider) is not None:
            n_images = int(provider.call("getNumImages"))
            provider.release()
            self._runs.run.provider = None
        self._n_looks = 0
        self._runs.end(Moment.now(), n_images)
