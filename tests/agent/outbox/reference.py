"""A small, strict collector for tests: the wire contract's semantics over real HTTP, and every way to misbehave.

It checks signatures, numbers and chains with code of its own, keeps what it acknowledged in memory, and takes a list
of misdeeds for the requests to come.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Misdeed = Callable[["Handler"], bool]
"""Acts on a request; returns True when it has answered it, or means never to."""


class Refused(Exception):
    """The answer is no."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "message": f"Reference collector: {error}.", **more}


@dataclass
class Mark:
    """What is kept of one spool: records by number, and the chain value after each number that is known."""

    records: dict[int, bytes] = field(default_factory=dict)
    chains: dict[int, str] = field(default_factory=lambda: {0: "0" * 64})
    skipped: list[tuple[int, int]] = field(default_factory=list)
    acked: int = 0


class ReferenceCollector:
    """The collector; `url` is where it listens while it is used as a context manager."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PublicKey] = {}
        self.join_codes = {"K7QM-2XRT-9WPA-HC4D-V3JN"}
        self.spools: dict[str, Mark] = {}
        self.misdeeds: deque[Misdeed] = deque()
        self.requests: list[tuple[str, str, dict[str, str], int]] = []
        self.order: list[tuple[str, int, int]] = []
        self.ahead = timedelta(0)
        self.max_body_bytes = 1 << 20
        self.flag_all = False
        self.has_added = threading.Condition()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.collector = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="reference")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ReferenceCollector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def enrol(self, public_key: str) -> None:
        """Make a key known without a join code."""
        raw = base64.b64decode(public_key)
        self.keys["agt-" + sha256(raw).hexdigest()[:32]] = Ed25519PublicKey.from_public_bytes(raw)

    def records(self) -> list[dict[str, Any]]:
        """Return everything acknowledged, by spool and number."""
        return [json.loads(raw) for mark in self.spools.values() for _, raw in sorted(mark.records.items())]

    def forget_after(self, spool_id: str, seq: int) -> None:
        """Go back to a state as of a backup."""
        mark = self.spools[spool_id]
        mark.records = {n: raw for n, raw in mark.records.items() if n <= seq}
        mark.chains = {n: chain for n, chain in mark.chains.items() if n <= seq}
        mark.acked = seq

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """Return the answer to a request, or raise `Refused`."""
        with self._lock:
            route = urlsplit(path)
            if (method, route.path) == ("POST", "/v1/enrol"):
                return self._enrol(method, path, headers, body)
            agent_id = headers.get("scopestamp-agent", "")
            if agent_id not in self.keys:
                raise Refused(401, "unknown_agent")
            self._check_signature(self.keys[agent_id], method, path, headers, body)
            if (method, route.path) == ("GET", "/v1/cursor"):
                mark = self.spools.get(parse_qs(route.query)["spool"][0], Mark())
                return {"acked": mark.acked, "chain": mark.chains[mark.acked], "time": self._time()}
            if (method, route.path) == ("POST", "/v1/ingest"):
                return self._ingest(headers, body)
            raise Refused(404, "no_such_path")

    def _enrol(self, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        request = json.loads(body)
        raw = base64.b64decode(request["public_key"])
        self._check_signature(Ed25519PublicKey.from_public_bytes(raw), method, path, headers, body)
        if request["join_code"] not in self.join_codes:
            raise Refused(403, "bad_join_code")
        self.enrol(request["public_key"])
        return {
            "agent_id": "agt-" + sha256(raw).hexdigest()[:32],
            "instrument_id": request["instrument_id"],
            "collector": "reference",
            "time": self._time(),
        }

    def _check_signature(
        self, key: Ed25519PublicKey, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        signed = sorted(
            f"{name}:{value}"
            for name, value in headers.items()
            if name.startswith("scopestamp-") and name != "scopestamp-signature"
        )
        text = "\n".join(["scopestamp-request-v1", method, path, *signed, sha256(body).hexdigest()])
        try:
            key.verify(base64.b64decode(headers.get("scopestamp-signature", "")), text.encode())
        except InvalidSignature:
            raise Refused(401, "bad_signature") from None

    def _ingest(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        if len(body) > self.max_body_bytes:
            raise Refused(413, "too_large")
        assert headers["content-type"] == "application/x-ndjson"
        assert headers["content-encoding"] == "zstd"
        data = zstandard.ZstdDecompressor().decompress(body, max_output_size=8 << 20)
        if not data.endswith(b"\n"):
            raise Refused(400, "malformed_batch")
        lines = data[:-1].split(b"\n")
        first = int(headers["scopestamp-first-seq"])
        if len(lines) != int(headers["scopestamp-count"]) or len(lines) > 500:
            raise Refused(400, "malformed_batch")
        spool_id = headers["scopestamp-spool"]
        mark = self.spools.setdefault(spool_id, Mark())
        n_added = self._join(mark, first, lines, headers)
        self.order.append((spool_id, first, len(lines)))
        flagged = [{"seq": first, "reason": "unknown_kind", "message": "as told"}] if self.flag_all else []
        return {
            "acked": mark.acked,
            "n_added": n_added,
            "flagged": flagged,
            "time": self._time(),
            "max_body_bytes": self.max_body_bytes,
        }

    def _join(self, mark: Mark, first: int, lines: list[bytes], headers: dict[str, str]) -> int:
        prev = headers["scopestamp-prev"]
        if first > mark.acked + 1:
            skipped_from = int(headers.get("scopestamp-skipped-from", "0"))
            if not 0 < skipped_from <= mark.acked + 1:
                raise Refused(409, "gap", expected=mark.acked + 1)
            if _skip(mark.chains[skipped_from - 1], skipped_from, first - 1) != prev:
                raise Refused(409, "fork")
            mark.skipped.append((skipped_from, first - 1))
        elif mark.chains.get(first - 1, prev) != prev:
            raise Refused(409, "fork")
        n_added, chain = 0, prev
        for seq, raw in enumerate(lines, first):
            chain = _next(chain, raw)
            if mark.chains.get(seq, chain) != chain:
                raise Refused(409, "fork")
            mark.chains[seq] = chain
            if seq > mark.acked:
                json.loads(raw)
                mark.records[seq] = raw
                n_added += 1
        mark.acked = max(mark.acked, first + len(lines) - 1)
        with self.has_added:
            self.has_added.notify_all()
        return n_added

    def _time(self) -> str:
        return (datetime.now(UTC) + self.ahead).isoformat()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        collector: ReferenceCollector = self.server.collector  # type: ignore[attr-defined]
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.lower = {name.lower(): value for name, value in self.headers.items()}
        collector.requests.append((self.command, self.path, self.lower, len(self.body)))
        if collector.misdeeds and collector.misdeeds.popleft()(self):
            return
        try:
            self.say(200, self.processed())
        except Refused as refused:
            self.say(refused.status, refused.body)

    def processed(self) -> dict[str, Any]:
        collector: ReferenceCollector = self.server.collector  # type: ignore[attr-defined]
        return collector.answer(self.command, self.path, self.lower, self.body)

    def say(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def well(_: Handler) -> bool:
    """Behave."""
    return False


def say(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> Misdeed:
    """Answer this instead."""

    def act(handler: Handler) -> bool:
        handler.say(status, body, headers)
        return True

    return act


def lose_reply(handler: Handler) -> bool:
    """Take the batch and hang up without a word."""
    handler.processed()
    handler.close_connection = True
    return True


def hang_up(handler: Handler) -> bool:
    """Hang up before doing anything."""
    handler.close_connection = True
    return True


def break_off(handler: Handler) -> bool:
    """Take the batch and hang up in the middle of the answer."""
    data = json.dumps(handler.processed()).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True
    return True


def change(**fields: Any) -> Misdeed:
    """Take the batch and change the answer."""

    def act(handler: Handler) -> bool:
        handler.say(200, {**handler.processed(), **fields})
        return True

    return act


def _next(chain: str, raw: bytes) -> str:
    return sha256(bytes.fromhex(chain) + sha256(raw).digest()).hexdigest()


def _skip(chain: str, first: int, last: int) -> str:
    return sha256(bytes.fromhex(chain) + f"skipped {first} {last}".encode()).hexdigest()
