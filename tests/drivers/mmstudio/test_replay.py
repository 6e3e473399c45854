"""The stand-in against true recordings: the same requests get the same replies, to the byte.

Of a reply only what no server can repeat is left out: handles, port numbers, the frames of a stack trace below its first
line. Of an exchange only what it leads to in Java or in devices that are not ours.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import zmq

HASH = re.compile(rb'"hash-code":\s*"([^"]+)"')
SILENCE_MS = 100
RECORDED_DATA = b"D:/data"

OF_THE_PEER = {
    "getShutterOpen",
    "getVersionInfo",
    "getCircularBufferMemoryFootprint",
    "debugLogEnabled",
    "getPrimaryLogFile",
}
LISTENER = {"get-constructors of the listener class", "constructor of the listener class, own port"}
"""The recording's listener was another than ours."""
MOVING = {"getXPosition", "getYPosition", "get-field x", "get-field y"}
RECORDINGS = {
    "h01_connect": set(),
    "h02_core_constructor": {
        *OF_THE_PEER,
        "Studio asked from a headless server (class not on its class path)",
    },
    "h03_core_primitives": {*OF_THE_PEER, *MOVING},
    "h04_loaded_devices": {"get-class java.lang.String", "the same with declared types"},
    "h05_system_state_cache": {"getVerbose"},
    "h06_system_state_hardware": {"getVerbose"},
    "h07_config_groups": set(),
    "h08_device_properties": set(),
    "h09_exceptions": {
        *("unknown property", "value not allowed", "value out of limits"),  # pymmcore tells the first half
        *("text for a double", "null for a double"),
    },
    "h10_text_encoding": {"getVerbose does not escape: a value holding <br> breaks the lines"},
    "h13_new_port": {"getVerbose"},
    "h14_snap_latency": {"getVerbose"},
    "h15_which_reads_wait": {
        *("getVersionInfo()", "getShutterOpen()"),
        *(
            "getPixelSizeUm()",
            "getPixelSizeUm(True)",
            "getCurrentPixelSizeConfig()",
            "getStateLabel(Objective)",
        ),
    },
    "h17_abuse": set(),
    "s01_studio_connect": {*OF_THE_PEER, *LISTENER, "compat", "profile"},
    "s02_studio_queries": {
        *("getStageX", "getStageY"),  # minus zero of a stage that had moved
        *("saveMode", "channelSpecBuilder", "get-class ChannelSpec", "shutter", "positions", "album"),
        "no display: none",
    },
    "s04_live_mode": {*LISTENER, "getVerbose", "getActiveDataViewer"},
    "s06_mda_20_frames": {
        *LISTENER,
        *("getVerbose", "getAnyImage", "summary metadata as JSON"),
        "isAcquisitionRunning during",  # here one exchange follows the other, so the blocking call is over by then
        "another client connects to the main port during the blocking call: no answer in 300 ms",
    },
}
"""Recordings, and the labels of exchanges in them whose reply is another by nature: a version, a stage on its way,
the state that the recorded core had got into by then, a part of Studio that the stand-in has not."""

NOT_REPLAYED = {
    "h11_images": "the agent fetches no image over the bridge, so the stand-in has no tagged images",
    "h12_arrays": "echoes arrays through java.util.Objects, which only a Java has; `test_bridge` reads arrays of the core",
    "h16_silent_server": "wants a server that is frozen at the right moment: `test_watch` freezes it",
    "s03_tap_events": "of the listener of the recording; ours is another, and `listener/` runs it in a Java",
    "s05_snap": "the agent never snaps in Studio, so the stand-in does not either",
    "s07_mda_channels_z": "s06 with more frames, and a display window",
    "s08_mda_paused_and_halted": "pausing from outside is refused by `allowed`; `test_watch` cancels",
    "s09_snap_latency_studio": "of timing, and of snaps",
    "s10_studio_quits": "ends the server; `test_watch` closes Studio",
    "s11_quit_while_polling": "ends in a crash of Java",
    "s12_quit_without_polling": "ends the server; `test_watch` closes Studio",
}
"""Recordings that the stand-in cannot answer, and why, or what is run in their place."""


class Tape:
    """Plays a recording's requests to a server, with that one's handles and ports in place of the recorded ones.

    What was saved under ``D:/data`` is saved in the folder `data`.
    """

    def __init__(self, folder: Path, name: str, port: int, data: Path) -> None:
        self._data = data.as_posix().encode()
        self._apis = json.loads((folder / "apis.json").read_text(encoding="utf-8"))
        self.exchanges = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["exchanges"]
        self._ours: dict[bytes, bytes] = {}
        replies = (self.frames(one["reply"])[0] for one in self.exchanges if one["reply"])
        self._given = {handle for reply in replies for handle in HASH.findall(reply)[:1]}
        self._ports = {4827: port}
        self._context = zmq.Context()
        self._sockets: dict[str, Any] = {}

    def frames(self, told: list[dict[str, str]]) -> list[bytes]:
        """Return the true bytes of recorded frames."""
        return [
            base64.b64decode(frame["base64"])
            if "base64" in frame
            else re.sub(r"%api:([^%]+)%", lambda m: self._apis[m[1]], frame["text"]).encode("iso-8859-1")
            for frame in told
        ]

    def play(self, exchange: dict[str, Any]) -> list[bytes] | None:
        """Send a request and return the reply, or None when none comes."""
        socket = self._socket(exchange)
        self._hold_what_was_held_before(exchange, socket)
        request = [self._translated(frame) for frame in self.frames(exchange["request"])]
        socket.send_multipart(request)
        if not socket.poll(SILENCE_MS if exchange["reply"] is None else 10_000):
            return None
        reply = socket.recv_multipart()
        if exchange["reply"] is not None:
            self._learn(self.frames(exchange["reply"]), reply)
        return [frame.replace(self._data, RECORDED_DATA) for frame in reply]

    def is_of_what_is_not_here(self, exchange: dict[str, Any]) -> bool:
        """Whether a request is about an object that our server did not give out, where the recorded one did."""
        held = HASH.findall(self.frames(exchange["request"])[0])
        return any(theirs in self._given and theirs not in self._ours for theirs in held)

    def _hold_what_was_held_before(self, exchange: dict[str, Any], socket: Any) -> None:
        """Get the core that the recording's client had before its first request."""
        for theirs in HASH.findall(self.frames(exchange["request"])[0]):
            is_core = b'"mmcorej.CMMCore"' in self.frames(exchange["request"])[0]
            if is_core and len(theirs) > 16 and theirs not in self._ours:
                constructor = {"command": "constructor", "classpath": "mmcorej.CMMCore", "arguments": []}
                socket.send(json.dumps(constructor).encode())
                self._ours[theirs] = HASH.findall(socket.recv())[0]

    def close(self) -> None:
        self._context.destroy(linger=0)

    def _socket(self, exchange: dict[str, Any]) -> Any:
        name = f"{exchange['socket']}:{exchange['port']}"
        if name not in self._sockets:
            socket = self._context.socket(zmq.REQ)
            for option in (zmq.REQ_RELAXED, zmq.REQ_CORRELATE):
                socket.setsockopt(option, 1)
            socket.setsockopt(zmq.RECONNECT_IVL, 20)
            socket.connect(f"tcp://127.0.0.1:{self._own_port(exchange['port'])}")
            self._sockets[name] = socket
        return self._sockets[name]

    def open_ports(self) -> None:
        """Open every port that the recording uses, as its client had done."""
        for recorded in sorted({exchange["port"] for exchange in self.exchanges}):
            self._own_port(recorded)

    def _own_port(self, recorded: int) -> int:
        """Return our port for a recorded one; one that was opened before the recording is opened now."""
        if recorded not in self._ports:
            with self._context.socket(zmq.REQ) as socket:
                socket.connect(f"tcp://127.0.0.1:{self._ports[4827]}")
                asked = {
                    "command": "constructor",
                    "classpath": "mmcorej.CMMCore",
                    "arguments": [],
                    "new-port": True,
                }
                socket.send(json.dumps(asked).encode())
                self._ports[recorded] = json.loads(socket.recv().decode("iso-8859-1"))["port"]
        return self._ports[recorded]

    def _translated(self, frame: bytes) -> bytes:
        ours = HASH.sub(lambda m: m[0].replace(m[1], self._ours.get(m[1], m[1])), frame)
        return ours.replace(RECORDED_DATA, self._data)

    def _learn(self, recorded: list[bytes], ours: list[bytes]) -> None:
        for theirs, mine in zip(HASH.findall(recorded[0])[:1], HASH.findall(ours[0])[:1], strict=False):
            self._ours[theirs] = mine
            told, said = (
                json.loads(recorded[0].decode("iso-8859-1")),
                json.loads(ours[0].decode("iso-8859-1")),
            )
            self._ports[told["port"]] = said["port"]  # a number is given out again, and another one by ours


def comparable(frames: list[bytes] | None) -> Any:
    """Return a reply without what no server can repeat."""
    if frames is None:
        return None
    head = HASH.sub(b'"hash-code":"*"', frames[0])
    if b'"api":[' in head:  # in no particular order
        methods = json.loads(head.decode("iso-8859-1"))["api"]
        start = head.index(b'"api":[')
        end = head.index(b'],"type"', start)
        head = head[:start] + b"|".join(sorted(json.dumps(m).encode() for m in methods)) + head[end:]
    head = re.sub(rb'"port":\d+', b'"port":*', head)
    head = re.sub(rb'("type":"exception","value":".*?)(\\n|\\r|"}).*', rb"\1", head)
    head = re.sub(rb"\[B@[0-9a-f]+", b"[B@*", head)
    return [head, *frames[2::2]]


def names_in(frames: list[bytes]) -> list[bytes]:
    """Return which properties a state holds, in order."""
    return re.findall(rb"(?:<html>|<br>)([^:<]+:[^=<]+)=", frames[0])


@pytest.fixture
def as_recorded(make_core: Any, name: str) -> Any:
    """A core whose history is that of the recorded one, as far as it shows."""
    core = make_core()
    if name == "h10_text_encoding":
        core.setProperty("Camera", "AsyncPropertyDelayMS", "0")  # two seconds in the recording
    return core


@pytest.mark.parametrize("name", RECORDINGS)
def test_stand_in_answers_as_the_real_server(
    name: str, as_recorded: Any, make_stand_in: Any, wire_folder: Path, wire_shapes: Any, tmp_path: Path
) -> None:
    stand_in = make_stand_in(as_recorded, apis=wire_shapes[0], shapes=wire_shapes[1])
    tape = Tape(wire_folder, name, stand_in.port, tmp_path)
    n_compared = 0
    try:
        if name == "h17_abuse":
            tape.open_ports()
        for exchange in tape.exchanges:
            is_comparable = not tape.is_of_what_is_not_here(exchange)
            reply = tape.play(exchange)
            recorded = None if exchange["reply"] is None else tape.frames(exchange["reply"])
            if is_comparable and exchange["label"] not in RECORDINGS[name]:
                n_compared += 1
                assert comparable(reply) == comparable(recorded), exchange["label"]
    finally:
        tape.close()
    assert n_compared > 0.5 * len(tape.exchanges)


def test_every_recording_is_replayed_or_it_is_said_why_not(wire_folder: Path) -> None:
    assert RECORDINGS.keys() & NOT_REPLAYED.keys() == set()
    there = {path.stem for path in wire_folder.glob("[hs][0-9]*.json")}
    assert there == RECORDINGS.keys() | NOT_REPLAYED.keys()
