"""Sends prepared requests over plain sockets and measures; a process of its own, run by `ingest_load.py`.

Reads from stdin one pickle: addresses of collectors among which the agents are spread, requests of each agent, and either None (each agent sends as fast as it is answered) or
the seconds between two requests of an agent (open loop: latency counts from when the request was due).
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import time

try:
    import uvloop as _loops
except ImportError:
    _loops = asyncio


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)


async def _agent(
    host: str, port: int, requests: list[bytes], every_s: float | None, first_s: float, told: dict
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    begin = told["begin"] + first_s
    for number, request in enumerate(requests):
        due = time.perf_counter() if every_s is None else begin + number * every_s
        if every_s is not None and (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        status, body = await _ask(reader, writer, request)
        while status == 503:
            told["n_busy"] += 1
            await asyncio.sleep(0.2)
            status, body = await _ask(reader, writer, request)
        if status != 200:
            raise SystemExit(f"answered {status}: {body!r}")
        told["latencies"].append(time.perf_counter() - due)
        told["n_added"] += json.loads(body)["n_added"]
    writer.close()


async def _main() -> None:
    addresses, requests, every_s = pickle.load(sys.stdin.buffer)
    told = {"latencies": [], "n_added": 0, "n_busy": 0, "begin": time.perf_counter() + 0.5}
    spread = (every_s or 0) / max(len(requests), 1)
    began, cpu_before = time.perf_counter(), time.process_time()
    await asyncio.gather(
        *(
            _agent(*addresses[i % len(addresses)], own, every_s, i * spread, told)
            for i, own in enumerate(requests)
        )
    )
    elapsed_s = time.perf_counter() - (began if every_s is None else told["begin"])
    latencies = sorted(told["latencies"])
    at = {
        name: latencies[min(int(len(latencies) * q), len(latencies) - 1)]
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    print(
        json.dumps(
            {
                "records": told["n_added"],
                "seconds": round(elapsed_s, 2),
                "records_per_s": round(told["n_added"] / elapsed_s),
                **{f"{name}_ms": round(1000 * value, 1) for name, value in at.items()},
                "max_ms": round(1000 * latencies[-1], 1),
                "n_busy": told["n_busy"],
                "sender_cpu_us_per_record": round(
                    1e6 * (time.process_time() - cpu_before) / max(told["n_added"], 1), 1
                ),
            }
        )
    )


if __name__ == "__main__":
    if _loops is asyncio:
        asyncio.run(_main())
    else:
        _loops.run(_main())
