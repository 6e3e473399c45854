"""The network between agent and collector, and what stands in it."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import BenchAgent, Collector
from certificate import self_signed
from outcome import Outcome
from proxy import Proxy

TIMEOUT_S = 0.6
LATENCY_S = 2.0
_HTML = b"<html><body>Please sign in to use the network</body></html>"
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
HTML_200, HTML_502 = (_HEAD % (status, len(_HTML)) + _HTML for status in (b"200 OK", b"502 Bad Gateway"))


def _spoiled(mode: str | bytes, name: str, collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Send through a proxy that misbehaves from a random moment on until several tries have failed; then all is well."""
    outcome, chance = Outcome(name, n_trials), random.Random(name)
    for trial in range(n_trials):
        with Proxy(int(collector.url.rpartition(":")[2])) as proxy:
            proxy.delay_s = LATENCY_S
            agent = BenchAgent(folder / str(trial), proxy.url, timeout_s=TIMEOUT_S)
            collector.let_in(agent.identity)
            with agent.sending():
                agent.put(chance.randrange(1, 400))
                proxy.mode = mode
                proxy.cut()
                _until_spoiled(proxy, agent, chance.randrange(1, 4), chance)
                proxy.mode = "well"
                proxy.cut()
                outcome.recovery_s.append(agent.wait_until_sent())
            outcome.compare(agent.promised, collector, agent.identity.agent_id)
            agent.close()
    return outcome


def _until_spoiled(proxy: Proxy, agent: BenchAgent, n_times: int, chance: random.Random) -> None:
    until, pause = proxy.n_spoiled + n_times, threading.Event()
    while proxy.n_spoiled < until:
        agent.put(chance.randrange(1, 60))
        agent.sender.wake()
        pause.wait(0.02)


def _flapping(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    outcome, chance, pause = Outcome("network: flapping", n_trials), random.Random(3), threading.Event()
    with Proxy(int(collector.url.rpartition(":")[2])) as proxy:
        agent = BenchAgent(folder / "flaps", proxy.url, timeout_s=TIMEOUT_S)
        collector.let_in(agent.identity)
        with agent.sending():
            for _ in range(n_trials):
                for mode in ("refuse", "well", "reset", "well"):
                    proxy.mode = mode
                    proxy.cut()
                    agent.put(chance.randrange(1, 200))
                    agent.sender.wake()
                    pause.wait(chance.random() * 0.1)
            outcome.recovery_s.append(agent.wait_until_sent())
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


def _elsewhere(
    name: str, wrong: Callable[[Path], Iterator[str]], collector: Collector, folder: Path, n_trials: int
) -> Outcome:
    """Send to an address that is wrong for a while, then to the right one."""
    outcome = Outcome(name, n_trials)
    for trial in range(n_trials):
        agent = BenchAgent(folder / str(trial), collector.url)
        collector.let_in(agent.identity)
        agent.put(100)
        with contextmanager(wrong)(folder) as url:
            lost = agent.sender_to(url, TIMEOUT_S)
            stop = threading.Event()
            thread = threading.Thread(target=lost.run, args=(stop,))
            thread.start()
            while lost.status().last_error is None:
                stop.wait(0.02)
            agent.put(100)
            stop.set()
            thread.join()
            outcome.expect(lost.status().n_waiting == len(agent.promised), "something was taken as sent")
            lost.close()
        with agent.sending():
            outcome.recovery_s.append(agent.wait_until_sent())
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


def _no_such_name(folder: Path) -> Iterator[str]:
    yield "https://collector.invalid"  # RFC 2606: never a name


def _wrong_certificate(folder: Path) -> Iterator[str]:
    """Listen as somebody whose certificate nobody has signed."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


FAULTS = {
    "net-down": partial(_spoiled, "refuse", "network: down"),
    "net-flapping": _flapping,
    "net-latency": partial(_spoiled, "slow", "network: answers later than the time-out"),
    "net-reset": partial(_spoiled, "reset", "network: reset in the middle of the body"),
    "net-half-open": partial(_spoiled, "half_open", "network: half open, no answer ever"),
    "net-certificate": partial(_elsewhere, "network: wrong TLS certificate", _wrong_certificate),
    "net-html-200": partial(_spoiled, HTML_200, "network: a proxy answers 200 with a page"),
    "net-html-502": partial(_spoiled, HTML_502, "network: a proxy answers 502 with a page"),
    "net-dns": partial(_elsewhere, "network: name not found", _no_such_name),
}
