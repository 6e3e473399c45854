"""A collector on a socket: what `scopestamp-server run` does."""

from __future__ import annotations

import gc
import ipaddress
import json
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol
from urllib.parse import urlsplit

import uvicorn

from server.api.agents import all_admitted
from server.app import create_app
from server.chores import Chores
from server.collector import Collector
from server.errors import SettingsError
from server.forwarding.forwarder import Forwarder
from server.forwarding.identity import keys_in
from server.keeping.checkpoints import signer_in
from server.opening import open_store
from server.settings import ListenSettings, Settings

URL_FILE = "url.json"
_ANSWERS_S = 2.0
_log = logging.getLogger(__name__)


class Beside(Protocol):
    """Something that goes on while the collector serves, on a thread of its own."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, and wait for the end."""


Tell = Callable[[Collector, str], None]


def run(
    data: Path,
    settings: Settings,
    *,
    as_json: bool,
    beside: Callable[[Collector], Beside] | None = None,
    tell: Tell | None = None,
) -> None:
    """Serve until asked to stop by Ctrl-C or SIGTERM.

    Parameters
    ----------
    data, settings : Path, Settings
        Of the collector.
    as_json : bool
        Say in JSON that it is ready.
    beside : callable, optional
        Makes something more that goes on meanwhile.
    tell : callable, optional
        Says that it is ready, and where, in other words.
    """
    check_listen(settings.listen)
    listening = _listen(settings.listen)
    collector = Collector.on(open_store(data, settings), settings)
    url = _url_of(settings.listen, listening)
    tell = tell or (lambda _, at: _announce(at, as_json))
    going: list[Beside] = []
    try:
        collector.admitted.add_all(lambda: all_admitted(collector), collector.now())
        going.append(Chores(collector, signer_in(data, settings.collector.name)))
        if settings.upstream.url:
            going.append(Forwarder(collector, keys_in(data)))
        if beside is not None:
            going.append(beside(collector))
        server = _Server(_uvicorn_config(collector), data, url, lambda: tell(collector, url))
        spare_the_collector_of_garbage()
        for one in going:
            one.start()
        server.run(sockets=[listening])
    finally:
        for one in reversed(going):
            one.stop()
        collector.close()
        (data / URL_FILE).unlink(missing_ok=True)


def spare_the_collector_of_garbage() -> None:
    """Look for garbage less often, and never in what was imported: batches and pages make thousands of objects and no cycles,
    and a look through all that is remembered holds up whoever waits for 30 ms and more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def check_listen(listen: ListenSettings) -> None:
    """Refuse to send passwords and join codes over a network in the clear."""
    if bool(listen.tls_certificate) != bool(listen.tls_key):
        raise SettingsError("tls_certificate and tls_key belong together; set both or neither.")
    for path in filter(None, (listen.tls_certificate, listen.tls_key)):
        if not Path(path).is_file():
            raise SettingsError(f"There is no file {path}; set tls_certificate and tls_key to PEM files.")
    if not (listen.tls_certificate or listen.tls_ends_at_proxy or _is_loopback(listen.host)):
        raise SettingsError(
            f"Refusing to listen on {listen.host} without TLS. Set tls_certificate and tls_key, or say with "
            "--tls-ends-at-proxy that a reverse proxy in front terminates TLS, or listen on 127.0.0.1."
        )


def running_url(data: Path) -> str | None:
    """Return the address of the collector that runs on this data folder, None when none runs: one that was killed left it behind."""
    try:
        url = str(json.loads((data / URL_FILE).read_text(encoding="utf-8"))["url"])
        at = urlsplit(url)
        socket.create_connection((at.hostname or "", at.port or 0), timeout=_ANSWERS_S).close()
    except (OSError, ValueError, KeyError):
        return None
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(listen: ListenSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server((listen.host, listen.port), family=family, backlog=512)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {listen.host} port {listen.port}: {error.strerror}. Choose another with --port."
        ) from error


def _url_of(listen: ListenSettings, listening: socket.socket) -> str:
    scheme = "https" if listen.tls_certificate else "http"
    # "every address" is none that a link could lead to
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


def _uvicorn_config(collector: Collector) -> uvicorn.Config:
    listen = collector.settings.listen
    return uvicorn.Config(
        create_app(collector),
        ssl_certfile=listen.tls_certificate or None,
        ssl_keyfile=listen.tls_key or None,
        forwarded_allow_ips=listen.trusted_proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready and treats being asked to stop as success."""

    def __init__(self, config: uvicorn.Config, data: Path, url: str, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._data = data
        self._url = url
        self._tell = tell

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn raises the signal again after its shutdown; without a handler that would be the end of us, with code 143.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _already_stopping)
        super().run(sockets=sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            (self._data / URL_FILE).write_text(json.dumps({"url": self._url}), encoding="utf-8")
            self._tell()


def _announce(url: str, as_json: bool) -> None:
    ready = json.dumps({"event": "ready", "url": url}, separators=(",", ":"))
    print(ready if as_json else f"Collector ready at {url} (Ctrl-C stops it).", flush=True)


def _already_stopping(number: int, frame: FrameType | None) -> None:
    _log.info("Stopped by %s.", signal.Signals(number).name)
