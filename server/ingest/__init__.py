"""From a request of an agent to a batch the store can append."""

from server.expand import expand
from server.ingest.filing import file_lines
from server.ingest.headers import BatchHeaders, parse_headers
from server.ingest.signature import check_signature
from server.ingest.writer import GroupWriter

__all__ = ["BatchHeaders", "GroupWriter", "check_signature", "expand", "file_lines", "parse_headers"]
