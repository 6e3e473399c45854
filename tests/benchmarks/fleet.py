"""Agents of a benchmark: signed batches of state snapshots, made beforehand, so that sending them costs little."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import records as r
from agent.records import wire

START_AT = datetime.now(UTC).replace(microsecond=0)
"""Records speak of now, as those of agents do."""
_ID, _AT, _NS, _A, _B, _C = (
    "00000000-0000-4000-8000-000000000000",
    "2026-05-04T09:00:00Z",
    123456789,
    1.5,
    2.25,
    3.125,
)


@dataclass
class BenchAgent:
    """One agent with a spool that it writes as it goes."""

    number: int
    dice: random.Random
    spool_id: str = "bench"
    seq: int = 0
    chain: str = wire.CHAIN_START
    n_raw_bytes: int = 0
    key: Ed25519PrivateKey = field(init=False)
    agent_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(self.dice.randbytes(32))
        self.public_key = self.key.public_key().public_bytes_raw()
        self.agent_id = wire.agent_id_of(self.public_key)
        self.instrument_id = f"scope-{self.number:05d}"
        self._template = _template(self.instrument_id, self.agent_id)

    def lines(self, n: int) -> list[bytes]:
        """Return the next snapshots, about 1 kB each."""
        return [self._line(self.seq + i + 1) for i in range(n)]

    def request(self, n: int) -> bytes:
        """Return the next batch as the bytes of an HTTP request."""
        lines = self.lines(n)
        raw = b"".join(line + b"\n" for line in lines)
        self.n_raw_bytes += len(raw)
        body = zstandard.ZstdCompressor(level=3).compress(raw)
        headers = {
            wire.SPOOL_HEADER: self.spool_id,
            wire.FIRST_SEQ_HEADER: str(self.seq + 1),
            wire.COUNT_HEADER: str(n),
            wire.PREV_HEADER: self.chain,
        }
        signed = self._signed(wire.INGEST_PATH, headers, body)
        for line in lines:
            self.chain = wire.chain_next(self.chain, line)
        self.seq += n
        told = {**signed, "Host": "bench", "Content-Encoding": "zstd", "Content-Length": str(len(body))}
        head = f"POST {wire.INGEST_PATH} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in told.items()
        )
        return head.encode() + b"\r\n" + body

    def _line(self, seq: int) -> bytes:
        at = (START_AT + timedelta(seconds=seq)).isoformat().replace("+00:00", "Z").encode()
        dice = self.dice
        said = {
            b"ID": str(_record_id(START_AT + timedelta(seconds=seq), dice)).encode(),
            b"AT": at,
            b"NS": b"%d" % (seq * 1_000_000_000 + dice.randrange(1_000_000)),
            b"A": b"%.4f" % dice.gauss(37, 0.1),
            b"B": b"%.3f" % dice.uniform(-5000, 5000),
            b"C": b"%.2f" % dice.uniform(0, 100),
        }
        return self._template % said

    def _signed(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        headers = {
            wire.AGENT_HEADER: self.agent_id,
            wire.TIME_HEADER: datetime.now(UTC).isoformat(),
            **headers,
        }
        signature = self.key.sign(wire.signing_bytes("POST", path, headers, body))
        return {**headers, wire.SIGNATURE_HEADER: base64.b64encode(signature).decode()}


def _record_id(at: datetime, dice: random.Random) -> UUID:
    """Return an id as agents mint it: the time, then chance (UUID version 7)."""
    return UUID(
        int=int(at.timestamp() * 1000) << 80
        | 0x7 << 76
        | dice.getrandbits(12) << 64
        | 0b10 << 62
        | dice.getrandbits(62)
    )


def _template(instrument_id: str, agent_id: str) -> bytes:
    """Return a snapshot of five properties with the varying parts left open."""
    at = datetime.fromisoformat(_AT)

    def read(value: r.Scalar, how: r.How = r.How.CACHE, unit: str | None = None) -> r.Reading:
        return r.Reading(status=r.ReadingStatus.OK, value=value, how=how, observed_at=at, unit=unit)

    now = r.Instant(wall_at=at, monotonic_ns=_NS, boot_id="3f2b8c1d9e7a4f60b5c2d1e0f9a8b7c6")
    state = r.SystemState(
        taken=now,
        duration_ms=12.5,
        devices={
            "Incubator": {"Temperature": read(_A, r.How.HARDWARE, "Cel")},
            "Objective": {"Label": read("Plan Apo 60x Oil")},
            "Stage": {"Z": read(_B, r.How.HARDWARE, "um")},
            "Laser": {"Power": read(_C, r.How.HARDWARE, "%"), "State": read(1)},
        },
    )
    snapshot = r.StateSnapshot(
        record_id=UUID(_ID),
        captured=now,
        instrument_id=instrument_id,
        producer=r.Producer(agent_id=agent_id, version="0.1.0"),
        reason=r.SnapshotReason.KEY_FRAME,
        state=state,
    )
    text = r.encode(snapshot).decode().replace("%", "%%")
    for open_part, name in (
        (_ID, "ID"),
        (_AT, "AT"),
        (str(_NS), "NS"),
        (f":{_A}", ":A"),
        (f":{_B}", ":B"),
        (f":{_C}", ":C"),
    ):
        assert open_part in text, open_part
        colon = ":" if name.startswith(":") else ""
        text = text.replace(open_part, f"{colon}%({name.lstrip(':')})b")
    return text.encode()


def agents(n: int, seed: int = 20260504) -> Iterator[BenchAgent]:
    """Yield agents, the same ones for the same seed."""
    for number in range(n):
        yield BenchAgent(number, random.Random(f"{seed} {number}"))
