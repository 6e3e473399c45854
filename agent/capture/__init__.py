"""Hardware and its files to records: the one place that knows both vocabularies."""

from agent.capture.recover import recover_open_acquisitions
from agent.capture.worker import Capture

__all__ = ["Capture", "recover_open_acquisitions"]
