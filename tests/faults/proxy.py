"""A TCP proxy that misbehaves on order."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_SLICE = 512


class Proxy:
    """Forwards connections to a port of this computer.

    Attributes
    ----------
    mode : str
        well; refuse: hang up at once; slow: keep every answer back for `delay_s`; reset: cut the connection in the middle of
        the request's body; half_open: take everything and never answer; or the bytes of an answer to give instead.
    """

    def __init__(self, port: int) -> None:
        self.mode: str | bytes = "well"
        self.delay_s = 0.0
        self.n_spoiled = 0
        self._port = port
        self._ending = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        """Cut every connection, so that the next request meets the present mode."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(near)
            thread = threading.Thread(target=self._serve, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError), near:
            mode = self.mode
            if mode != "well":
                self.n_spoiled += 1
            if mode == "refuse":
                return
            if isinstance(mode, bytes):
                near.recv(1 << 16)
                near.sendall(mode)
                return
            if mode == "half_open":
                while near.recv(1 << 16):
                    pass
                return
            self._forward(near, mode)

    def _forward(self, near: socket.socket, mode: str) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as far:
            self._open.append(far)
            back = threading.Thread(target=self._answer, args=(far, near, mode), daemon=True)
            back.start()
            n_bytes = 0
            while piece := near.recv(_SLICE):
                n_bytes += len(piece)
                if mode == "reset" and n_bytes > 2 * _SLICE:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # RST, no FIN
                    near.close()
                    break
                far.sendall(piece)
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join()

    def _answer(self, far: socket.socket, near: socket.socket, mode: str) -> None:
        with suppress(OSError):
            while piece := far.recv(1 << 16):
                if mode == "slow":
                    self._ending.wait(self.delay_s)
                near.sendall(piece)
