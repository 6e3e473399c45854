"""From a request of an agent to a batch the store can append."""

from server.ingest.admitted import Admitted
from server.ingest.filing import file_lines
from server.ingest.headers import BatchHeaders, parse_headers
from server.ingest.opening import open_batch
from server.ingest.signature import check_signature
from server.ingest.writer import GroupWriter, LoopAnswer

__all__ = [
    "Admitted",
    "BatchHeaders",
    "GroupWriter",
    "LoopAnswer",
    "check_signature",
    "file_lines",
    "open_batch",
    "parse_headers",
]
