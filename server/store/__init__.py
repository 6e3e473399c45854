"""Where the collector keeps what it was told: one contract, several stores."""

from server.store.base import Done, Failed, Job, Outcome, Reads, Store, Writes
from server.store.sqlite import SqliteStore

__all__ = ["Done", "Failed", "Job", "Outcome", "Reads", "SqliteStore", "Store", "Writes"]
