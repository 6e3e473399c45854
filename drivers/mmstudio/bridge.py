"""A client of Micro-Manager's bridge that never waits for ever, and never asks for what is not safe.

pycromanager's client has no time-outs: a Studio that is frozen or gone blocks it for good. Here every request has one.
A request that was given up is still carried out when Studio wakes up, and its answer, which comes late, is dropped (the
socket correlates answers with requests). So nothing here is ever sent twice: whether to ask again is for the caller, and
since all that may be called only reads, asking again is harmless.

The server gives each client a port of its own on request, and the client here works on that one: on the main port it would
wait behind the calls of scripts, which may block it for a whole acquisition.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import zmq

from drivers.errors import BridgeError, JavaError, StudioAwayError
from drivers.mmstudio.allowed import Reach, refuse_class, refuse_field, refuse_method, refuse_static
from drivers.mmstudio.wire import Handle, decode, encode

MAIN_PORT = 4827
TIMEOUT_S = 2.0
KNOWN_VERSIONS = ("5.",)
"""Bridge versions whose messages were recorded; another one is worth a warning, and tried."""

_RECONNECT_MS = 20  # a new own port may be bound a moment after its number was told


class Port:
    """One socket to one port of the server; any thread may ask, one at a time.

    Parameters
    ----------
    context : zmq.Context
        Of the client.
    number : int
        Port on this computer: the server binds no other address.
    timeout_s : float
        A request that takes longer is given up.
    """

    def __init__(self, context: zmq.Context[Any], number: int, timeout_s: float = TIMEOUT_S) -> None:
        self.number = number
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._socket = context.socket(zmq.REQ)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.REQ_RELAXED, 1),
            (zmq.REQ_CORRELATE, 1),
            (zmq.RECONNECT_IVL, _RECONNECT_MS),
            (zmq.SNDTIMEO, 0),
        ):
            self._socket.setsockopt(option, value)
        self._socket.connect(f"tcp://127.0.0.1:{number}")

    def ask(self, message: dict[str, Any]) -> Any:
        """Send a request and return what the reply says.

        Raises
        ------
        StudioAwayError
            No answer in time. The request may still be carried out.
        JavaError, BridgeError
            The answer is an exception, or none of the bridge.
        """
        with self._lock:
            try:
                self._socket.send_multipart(encode(message))
                if not self._socket.poll(self._timeout_s * 1e3, zmq.POLLIN):
                    raise zmq.Again
                frames = self._socket.recv_multipart()
            except zmq.Again as error:
                raise StudioAwayError(
                    f"Micro-Manager Studio did not answer on port {self.number} within {self._timeout_s:g} s: it is "
                    "not running, its server (Tools > Options > Run server on port) is off, or it is busy."
                ) from error
            except zmq.ZMQError as error:
                raise StudioAwayError(
                    f"The connection to Micro-Manager Studio is closed: {error}."
                ) from error
        return decode(frames)

    def close(self) -> None:
        """Let go of the socket; waits for a request under way."""
        with self._lock:
            self._socket.close()


class JavaObject:
    """A Java object; used as a context manager, so that the server lets go of it as well.

    Attributes
    ----------
    handle : Handle
        How the server names it.
    """

    def __init__(self, handle: Handle, port: Port, classpath: str = "") -> None:
        self.handle, self._port, self._classpath = handle, port, classpath

    def call(
        self, name: str, *arguments: Any, types: tuple[str, ...] = (), reach: Reach = Reach.STUDIO
    ) -> Any:
        """Call a method; what it returns is a value, or another `JavaObject`.

        Parameters
        ----------
        name : str
            The method.
        *arguments
            Texts, numbers, truth values, or Java objects.
        types : tuple of str, optional
            Java types of the arguments, where they do not follow from the values.
        reach : Reach
            How deep this call may go, at this moment.

        Raises
        ------
        ForbiddenCallError, StudioAwayError, JavaError
        """
        if self._classpath:
            refuse_static(self._classpath, name)
        else:
            refuse_method(self.handle, name, reach)
        told = list(types or map(_java_type, arguments))
        message = {
            "command": "run-method",
            "static": bool(self._classpath),
            "hash-code": self.handle.hash_code,
            "java_class_name": self.handle.java_class,
            "name": name,
            "argument-types": told,
            "argument-deserialization-types": told,
            "arguments": [_bare(argument) for argument in arguments],
        }
        return self._wrap(self._port.ask(message))

    def field(self, name: str) -> Any:
        """Return a public field."""
        refuse_field(self.handle, name)
        message = {"command": "get-field", "hash-code": self.handle.hash_code, "name": name}
        return self._wrap(self._port.ask(message))

    @contextmanager
    def asked(self, name: str, *arguments: Any, reach: Reach = Reach.STUDIO) -> Iterator[JavaObject]:
        """Call a method whose result is an object, and let go of that afterwards.

        Raises
        ------
        BridgeError
            The result is no object.
        """
        result = self.call(name, *arguments, reach=reach)
        if not isinstance(result, JavaObject):
            raise BridgeError(f"{self.handle.java_class}.{name} gave {result!r}, and not an object.")
        with result:
            yield result

    def release(self) -> None:
        """Let the server go of it. Raises `StudioAwayError` when it is silent."""
        message = {
            "command": "destructor",
            "hash-code": self.handle.hash_code,
            "java_class_name": self.handle.java_class,
        }
        try:
            self._port.ask(message)
        except JavaError:  # then there is nothing left to let go of
            return

    def __enter__(self) -> JavaObject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, StudioAwayError):  # else it would wait once more
            self.release()

    def _wrap(self, value: Any) -> Any:
        return JavaObject(value, self._port) if isinstance(value, Handle) else value


class Bridge:
    """The main port of a server, and the own ports it gave us.

    Parameters
    ----------
    port : int
        The main port.
    timeout_s : float
        A request that takes longer is given up.
    reach : Reach
        How deep any call of this bridge may go.
    """

    def __init__(
        self, port: int = MAIN_PORT, timeout_s: float = TIMEOUT_S, reach: Reach = Reach.STUDIO
    ) -> None:
        self.reach = reach
        self._timeout_s = timeout_s
        self._context: zmq.Context[Any] = zmq.Context()
        self._main = Port(self._context, port, timeout_s)
        self._own: list[Port] = []

    def connect(self) -> str:
        """Greet the server and return the version of its bridge; changes nothing and leaves nothing."""
        version = self._main.ask({"command": "connect", "debug": False})
        if not isinstance(version, str):
            raise BridgeError("What answers is not Micro-Manager's bridge: its greeting has no version.")
        return version

    def construct(self, classpath: str, *arguments: Any, types: tuple[str, ...] = ()) -> JavaObject:
        """Return an object on a port of its own; of Studio and of the core there is one, which is returned.

        Raises
        ------
        ForbiddenCallError, StudioAwayError
        JavaError
            There is no such class in the server.
        """
        refuse_class(classpath, self.reach)
        message = {
            "command": "constructor",
            "classpath": classpath,
            "argument-types": list(types),
            "argument-deserialization-types": list(types),
            "arguments": [_bare(argument) for argument in arguments],
        }
        return self._on_own_port(message)

    def static(self, classpath: str) -> JavaObject:
        """Return a class for its static methods, on a port of its own."""
        refuse_class(classpath, self.reach)
        return self._on_own_port({"command": "get-class", "classpath": classpath}, classpath)

    def has_class(self, classpath: str) -> bool:
        """Return whether the server knows a class, which is so when its jar is installed."""
        try:
            self._main.ask({"command": "get-constructors", "classpath": classpath})
        except JavaError:
            return False
        return True

    def close(self) -> None:
        """Close all sockets."""
        for port in (self._main, *self._own):
            port.close()
        self._context.term()

    def _on_own_port(self, message: dict[str, Any], classpath: str = "") -> JavaObject:
        handle = self._main.ask({**message, "new-port": True})
        if not isinstance(handle, Handle):
            raise BridgeError(f"Micro-Manager Studio gave no {message['classpath']} but {handle!r}.")
        port = Port(self._context, handle.port, self._timeout_s)
        self._own.append(port)
        return JavaObject(handle, port, classpath)


def _bare(argument: Any) -> Any:
    return argument.handle if isinstance(argument, JavaObject) else argument


def _java_type(argument: Any) -> str:
    """Return the Java type that a value is sent as."""
    if isinstance(argument, JavaObject):
        return argument.handle.java_class
    return {str: "java.lang.String", bool: "boolean", int: "int", float: "double"}[type(argument)]
