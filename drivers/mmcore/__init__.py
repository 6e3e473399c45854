"""Micro-Manager's core through pymmcore-plus, in this process."""

from drivers.mmcore.driver import MMCoreDriver, OwningMMCoreDriver
from drivers.mmcore.loading import load_core
from drivers.mmcore.release import release_callback, release_callback_at_exit

__all__ = ["MMCoreDriver", "OwningMMCoreDriver", "load_core", "release_callback", "release_callback_at_exit"]
