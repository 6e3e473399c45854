"""The watching of folders as a part of the agent: wires the watcher to the outbox, the chronicle and the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from agent.capture.journal import is_taking_frames, journals_of
from agent.capture.publish import Publisher
from agent.capture.quality import KeptQuality
from agent.chronicle import Chronicle
from agent.local import Local
from agent.records import (
    AcquisitionFinished,
    AcquisitionPlan,
    FinishReason,
    FrameCount,
    QcStamp,
    SystemState,
)
from agent.settings import AgentSettings
from agent.watch.register import Register
from agent.watch.report import Reporting
from agent.watch.shares import is_on_share
from agent.watch.watcher import Watcher


class FolderWatch:
    """A watcher over the agent's data folder.

    Parameters
    ----------
    local : Local
        The process's identity, outbox and mint.
    settings : AgentSettings
    tell : callable
        Takes what is to be said of the watching.
    is_acquiring : callable
        Says whether the agent's own hardware takes images; programs that attached themselves are asked by their journals.
    """

    def __init__(
        self,
        local: Local,
        settings: AgentSettings,
        tell: Callable[..., Any],
        is_acquiring: Callable[[], bool] = lambda: False,
    ) -> None:
        self._local, self._is_acquiring = local, is_acquiring
        self._quality = KeptQuality(local.data_dir)
        self._register = Register(local.data_dir / "watch.sqlite")
        self._chronicle = Chronicle(local.data_dir)
        shared = tuple(Path(folder) for folder in settings.watch.folders if is_on_share(Path(folder)))
        capture = settings.capture
        reporting = Reporting(
            local.mint,
            Publisher(local.outbox),
            self._chronicle,
            self._register,
            beside=capture.write_sidecar,
            inside=capture.stamp_inside,
            hash_files=capture.hash_files,
            is_shared=lambda path: any(path.is_relative_to(root) for root in shared),
            is_open=self._is_open,
            qc=self._quality_at,
        )
        self.watcher = Watcher(settings.watch, reporting, local.clock, tell, self._is_busy)

    def close(self) -> None:
        """Close the files; the watcher has stopped."""
        self.watcher.stop_observing()
        self._register.close()
        self._chronicle.close()

    def _is_busy(self) -> bool:
        now_s = self._local.clock.wall_at().timestamp()
        return self._is_acquiring() or is_taking_frames(self._local.data_dir, now_s)

    def _is_open(self, acquisition_id: UUID) -> bool:
        """Return whether the record of an acquisition may still come: its journal is there."""
        return any(journal.name == str(acquisition_id) for journal in journals_of(self._local.data_dir))

    def _quality_at(self, state: SystemState | None, at: datetime) -> QcStamp | None:
        """Return the quality control that held, as for an acquisition that nobody announced."""
        if state is None:
            return None
        now = self._local.clock.now()
        unannounced = self._local.mint.make(
            AcquisitionFinished,
            acquisition_id=uuid4(),
            started=now.model_copy(update={"wall_at": at}),
            finished=now.model_copy(update={"wall_at": at}),
            reason=FinishReason.COMPLETED,
            plan=AcquisitionPlan(axes={}),
            before=state,
            frames=FrameCount(seen=0),
        )
        return self._quality.stamped(unannounced).qc
