"""Batches of one simulated agent: numbered, chained and signed as any agent does it."""

from __future__ import annotations

import base64
from datetime import datetime

import zstandard

from agent.records import wire
from server.demo_fleet.lines import Lines
from server.ingest import check_signature, file_lines, parse_headers
from server.store.rows import Agent, Batch


class Spool:
    """Numbers and signs what one agent sends."""

    def __init__(self, lines: Lines, spool_id: str) -> None:
        self._lines = lines
        self._spool_id = spool_id
        self._seq, self._chain = 0, wire.CHAIN_START

    def batch(self, lines: list[bytes], agent: Agent, at: datetime) -> Batch:
        """Return lines as the next batch, taken apart and checked by the code that takes any other."""
        raw = b"".join(line + b"\n" for line in lines)
        body = zstandard.ZstdCompressor(level=3).compress(raw)
        told = {
            wire.AGENT_HEADER: agent.agent_id,
            wire.SPOOL_HEADER: self._spool_id,
            wire.FIRST_SEQ_HEADER: str(self._seq + 1),
            wire.COUNT_HEADER: str(len(lines)),
            wire.PREV_HEADER: self._chain,
            wire.TIME_HEADER: at.isoformat(),
        }
        signature = self._lines.key.sign(wire.signing_bytes("POST", wire.INGEST_PATH, told, body))
        told[wire.SIGNATURE_HEADER] = base64.b64encode(signature).decode()
        check_signature(agent.public_key, "POST", wire.INGEST_PATH, told, body)
        headers = parse_headers(told)
        filed = file_lines(raw, headers.first_seq, headers.n_records, headers.prev, agent)
        self._seq, self._chain = filed[-1].seq, filed[-1].chain
        return Batch(
            agent_id=agent.agent_id,
            spool_id=headers.spool_id,
            first_seq=headers.first_seq,
            prev=headers.prev,
            skipped_from=None,
            lines=filed,
            path=wire.INGEST_PATH,
            headers={"content-encoding": "zstd", **{name.lower(): value for name, value in told.items()}},
            body=body,
            received_at=at,
        )
