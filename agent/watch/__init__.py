"""Files on disk to records: watches folders in which other programs leave their data."""

from agent.watch.report import Reporting
from agent.watch.watcher import Watcher

__all__ = ["Reporting", "Watcher"]
