"""What was sent, as a batch the store can append."""

from __future__ import annotations

from datetime import datetime

from server.expand import expand
from server.ingest.filing import file_lines
from server.ingest.headers import parse_headers
from server.store.rows import Agent, Batch


def open_batch(
    agent_id: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    received_at: datetime,
    *,
    maker: Agent,
    limit_bytes: int,
    verified: Agent | None = None,
    is_forwarded: bool = False,
) -> Batch:
    """Return a batch taken apart; whether it was signed is for the caller to know.

    Parameters
    ----------
    agent_id : str
        Whose spool it continues.
    path : str
        With the query, as it was signed.
    headers : dict
        Those that are kept with it as evidence, names in lower case.
    body : bytes
        As transmitted.
    received_at : datetime
        By the clock of whom the agent sent it to.
    maker : Agent
        Of whom its records must be.
    limit_bytes : int
        What it may expand to.
    verified : Agent, optional
        Against which its signature was verified.
    is_forwarded : bool
        It came through another collector.

    Raises
    ------
    RefusedError
        400, 413 or 415 when headers and body are not a batch.
    """
    told = parse_headers(headers)
    expanded = expand(body, headers.get("content-encoding", "identity"), limit_bytes)
    return Batch(
        agent_id=agent_id,
        spool_id=told.spool_id,
        first_seq=told.first_seq,
        prev=told.prev,
        skipped_from=told.skipped_from,
        lines=file_lines(expanded, told.first_seq, told.n_records, told.prev, maker),
        path=path,
        headers=headers,
        body=body,
        received_at=received_at,
        is_forwarded=is_forwarded,
        verified=verified,
    )
