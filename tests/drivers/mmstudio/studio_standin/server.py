"""The bridge's protocol, as the recordings show it: what a request does, and what a reply looks like to the byte.

One thread and one socket for each port. What cannot be parsed ends the thread of its port for good while TCP
still accepts, as in the real server; `Faults` adds what a real one does on its bad days.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq
from studio_standin.java import JavaClass, JavaException, Json

VERSION = "5.1.0"
TYPE_OF_DTYPE = {"u1": "byte-array", "i1": "byte-array", "u2": "short-array", "i2": "short-array"}
TYPE_OF_DTYPE |= {"u4": "int-array", "i4": "int-array", "f4": "float-array", "f8": "double-array"}


@dataclass
class Faults:
    """What goes wrong.

    Attributes
    ----------
    is_silent : bool
        Requests are taken and kept; they are carried out once it is false again.
    garbage : bytes or None
        Sent instead of every reply.
    version : str
        What the bridge calls itself.
    """

    is_silent: bool = False
    garbage: bytes | None = None
    version: str = VERSION


@dataclass
class Port:
    """One REP server: its handles are known to it alone."""

    number: int
    socket: Any
    handles: dict[str, Any] = field(default_factory=dict)
    is_own: bool = False
    is_dead: bool = False


class Server:
    """Serves classes over the wire, from `start` to `stop`.

    Parameters
    ----------
    classes : mapping
        Class path to a function of the arguments that gives the object.
    statics : mapping
        Class path to its static methods.
    apis : mapping, optional
        Class name to the exact text of its list of methods.
    port : int, optional
        The main port; 0 takes a free one.
    shapes : mapping, optional
        Class name to its interfaces and fields as a real server lists them.
    """

    def __init__(
        self,
        classes: Mapping[str, Callable[..., Any]],
        statics: Mapping[str, Mapping[str, Callable[..., Any]]],
        apis: Mapping[str, str] | None = None,
        port: int = 0,
        shapes: Mapping[str, Mapping[str, list[str]]] | None = None,
    ) -> None:
        self.classes, self.statics, self.apis, self.shapes = classes, statics, apis or {}, shapes or {}
        self.faults = Faults()
        self.requests: list[dict[str, Any]] = []
        self._context = zmq.Context()
        self._ports: dict[int, Port] = {}
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self._lock = threading.RLock()
        self.port = port or _free_port()
        self._tasks = threading.Condition()

    def start(self) -> Server:
        self._open(self.port, is_own=False)
        return self

    def stop(self) -> None:
        """End as a process that is killed does: every port falls silent, requests under way are lost."""
        self._ended.set()
        for thread in list(self._threads):
            thread.join(20)
        self._context.destroy(linger=0)

    @property
    def n_handles(self) -> int:
        """How many objects are kept for clients."""
        return sum(len(port.handles) for port in self._ports.values())

    @property
    def ports(self) -> list[int]:
        """The ports that are served now."""
        return sorted(number for number, port in self._ports.items() if not port.is_dead)

    # -- one port

    def _open(self, number: int, *, is_own: bool) -> Port:
        """Serve a port: for an own one the lowest that is free from `number` up."""
        made = self._context.socket(zmq.REP)
        made.setsockopt(zmq.LINGER, 0)
        while True:
            try:
                made.bind(f"tcp://127.0.0.1:{number}")
                break
            except zmq.ZMQError:
                if not is_own:
                    made.close()
                    raise
                number += 1
        port = self._ports[number] = Port(number, made, is_own=is_own)
        thread = threading.Thread(target=self._serve, args=(port,), name=f"standin-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return port

    def _serve(self, port: Port) -> None:
        while not self._ended.is_set():
            is_asked = port.socket.poll(20)
            if self.faults.is_silent or not is_asked:
                self._ended.wait(0.005 if self.faults.is_silent else 0)
                continue
            frames = port.socket.recv_multipart()
            try:
                request = self._parse(frames)
            except (ValueError, struct.error):
                port.is_dead = True  # the thread ends, the socket stays open
                self._ended.wait()
                return
            self.requests.append(request)
            reply = self._reply(port, request, frames[1:])
            if self._ended.is_set():
                break
            if self.faults.garbage is not None:
                reply = [self.faults.garbage]
            port.socket.send_multipart(reply)
            if port.is_own and not port.handles:
                break
        port.socket.close()
        self._ports.pop(port.number, None)

    def _parse(self, frames: list[bytes]) -> dict[str, Any]:
        """Return a request, or raise ValueError for what kills the real server's thread (recording h17)."""
        text = frames[0].decode("iso-8859-1")
        request, _ = json.JSONDecoder().raw_decode(text.lstrip())
        if not isinstance(request, dict):
            raise ValueError("not an object")
        parts = frames[1:]
        if len(parts) % 2:
            raise ValueError("an id without its bytes")
        for number in parts[::2]:
            struct.unpack("=i", number)
        if parts and any("@" in text and not _is_placeholder(text) for text in _texts(request)):
            raise ValueError("@ in a text beside binary parts")
        return request

    # -- commands

    def _reply(self, port: Port, request: dict[str, Any], parts: list[bytes]) -> list[bytes]:
        try:
            return self._result(port, self._run(port, request, parts))
        except JavaException as error:
            return [_json({"type": "exception", "value": error.first_line + "\n" + error.trace})]

    def _run(self, port: Port, request: dict[str, Any], parts: list[bytes]) -> Any:
        command = _needed(request, "command")
        if command == "connect":
            _needed(request, "debug")
            return Raw({"type": "none", "version": self.faults.version})
        if command == "destructor":
            port.handles.pop(_needed(request, "hash-code"), None)
            return None
        if command == "get-constructors":
            return self._constructors(_needed(request, "classpath"))
        if command in ("constructor", "get-class"):
            return self._constructed(request, command)
        if command == "run-method":
            return self._called(port, request, parts)
        if command == "get-field":
            return self._field(port, request)
        raise JavaException("Unknown Command", "java.lang.RuntimeException")

    def _constructors(self, name: str) -> Any:
        if name not in self.classes:
            raise JavaException("Class not found on any classloaders", "java.lang.RuntimeException")
        return Raw({"api": [{"name": name, "arguments": []}], "type": "none"})

    def _constructed(self, request: dict[str, Any], command: str) -> Any:
        name = _needed(request, "classpath")
        if command == "get-class":
            if name not in self.statics:
                raise JavaException("Class not found on any classloaders", "java.lang.RuntimeException")
            made: Any = JavaClass(name, self.statics[name])
        elif name in self.classes:
            made = self.classes[name](*(self._argument(a, []) for a in request.get("arguments", ())))
        else:
            raise JavaException("Class not found on any classloaders", "java.lang.RuntimeException")
        return OnNewPort(made) if request.get("new-port") else made

    def _called(self, port: Port, request: dict[str, Any], parts: list[bytes]) -> Any:
        name, target = _needed(request, "name"), port.handles.get(_needed(request, "hash-code"))
        _needed(request, "static")
        if target is None:
            raise JavaException(
                'Cannot invoke "Object.getClass()" because "<parameter1>" is null',
                "java.lang.NullPointerException",
            )
        arguments = [self._argument(a, parts) for a in request.get("arguments", ())]
        method = target.methods.get(name)
        if method is None and not arguments:
            raise JavaException(f"{_name_of(target)}.{name}()", "java.lang.NoSuchMethodException")
        if method is None:
            raise JavaException("No Matching method found with argument types", "java.lang.RuntimeException")
        return method(*arguments)

    def _field(self, port: Port, request: dict[str, Any]) -> Any:
        name, target = _needed(request, "name"), port.handles.get(_needed(request, "hash-code"))
        if target is None or name not in target.fields:
            raise JavaException(name, "java.lang.NoSuchFieldException")
        return target.fields[name]

    def _argument(self, told: Any, parts: list[bytes]) -> Any:
        if isinstance(told, dict) and "hash-code" in told:
            for port in list(self._ports.values()):
                if told["hash-code"] in port.handles:
                    return port.handles[told["hash-code"]]
            words = f"Object with Hash code {told['hash-code']} unknown to all ZMQ servers"
            raise JavaException(words, "java.lang.RuntimeException")
        return told

    # -- replies

    def _result(self, port: Port, value: Any) -> list[bytes]:
        if isinstance(value, Raw):
            return [_json(value.reply)]
        if isinstance(value, OnNewPort):
            with self._lock:
                return self._result(self._open(self.port + 1, is_own=True), value.made)
        if value is None:
            return [_json({"type": "none"})]
        if isinstance(value, Json):
            return [_json({"type": "object", "class": "JSONObject", "value": json.dumps(value)})]
        if isinstance(value, float) and value == 0 and np.signbit(value):
            return [b'{"type":"primitive","value":-0}']
        if isinstance(value, bool | int | float):
            return [_json({"type": "primitive", "value": _number(value)})]
        if isinstance(value, str):
            return [_json({"type": "string", "value": value})]
        if isinstance(value, np.ndarray):
            return _array(value)
        return [self._handle(port, value)]

    def _handle(self, port: Port, made: Any) -> bytes:
        hash_code = f"{id(made) & 0xFFFFFFFF:x}{uuid.uuid4()}"
        port.handles[hash_code] = made
        is_class = isinstance(made, JavaClass)
        name = made.name if is_class else made.java_class
        shape = {} if is_class else self.shapes.get(name, {})
        interfaces = shape.get("interfaces") or ([name] if is_class else [name, *made.supers])
        fields = shape.get("fields") or ([] if is_class else list(made.fields))
        api = self.apis.get(f"class {name}" if is_class else name, "[]")
        head = _json({"hash-code": hash_code, "interfaces": interfaces, "port": port.number})
        tail = _json(
            {
                "type": "unserialized-object",
                "fields": fields,
                "class": "java.lang.Class" if is_class else name,
            }
        )
        return head[:-1] + b',"api":' + api.encode("iso-8859-1") + b"," + tail[1:]


@dataclass
class Raw:
    """A reply that is written out."""

    reply: dict[str, Any]


@dataclass
class OnNewPort:
    """An object that gets a port of its own."""

    made: Any


def _needed(request: dict[str, Any], key: str) -> Any:
    if key not in request:
        raise JavaException(f'JSONObject["{key}"] not found.', "mmcorej.org.json.JSONException")
    return request[key]


def _name_of(target: Any) -> str:
    return target.name if isinstance(target, JavaClass) else target.java_class


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in _texts(item)]


def _is_placeholder(text: str) -> bool:
    number, _, width = text[1:].partition("_")
    return text.startswith("@") and number.lstrip("-").isdigit() and width.isdigit()


def _json(reply: Any) -> bytes:
    """Write JSON as the real server does: no spaces, `</` escaped, and one ? for what is not in Latin-1."""
    text = json.dumps(reply, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    return text.encode("iso-8859-1", "replace")


def _number(value: Any) -> Any:
    """Return a number as Java's JSON writes it: a whole double without fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _array(value: np.ndarray) -> list[bytes]:
    number = uuid.uuid4().int & 0x7FFFFFFF
    kind = TYPE_OF_DTYPE[value.dtype.kind + str(value.dtype.itemsize)]
    return [_json({"type": kind, "value": f"[B@{number:x}"}), struct.pack("=i", number), value.tobytes()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
