"""The client on a server's bad days; the server is the stand-in, whose protocol is that of the recordings."""

from __future__ import annotations

import ast
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.errors import BridgeError, ForbiddenCallError, JavaError, StudioAwayError
from drivers.mmstudio import allowed
from drivers.mmstudio.allowed import CORE_CLASS, STUDIO_CLASS, Reach
from drivers.mmstudio.bridge import Bridge
from drivers.mmstudio.verbose import parse_verbose
from drivers.mmstudio.wire import Handle, decode
from drivers.readings import Key

ROOT = Path(__file__).parents[3]
SHORT_S = 0.05


@pytest.fixture
def stand_in(make_core: Callable[..., Any], make_stand_in: Callable[..., Any]) -> Any:
    return make_stand_in(make_core())


@pytest.fixture
def make_bridge() -> Iterator[Callable[..., Bridge]]:
    made: list[Bridge] = []

    def make(port: int, timeout_s: float = 20.0, reach: Reach = Reach.CORE_HARDWARE) -> Bridge:
        made.append(Bridge(port, timeout_s, reach))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()


def test_core_of_the_34_kb_reply_answers_on_a_port_of_its_own(
    make_core: Any, make_stand_in: Any, make_bridge: Any, wire_shapes: Any
) -> None:
    stand_in = make_stand_in(make_core(), apis=wire_shapes[0], shapes=wire_shapes[1])
    bridge = make_bridge(stand_in.port)
    core = bridge.construct(CORE_CLASS)
    assert core.handle.port != stand_in.port
    assert core.call("getExposure", "Camera", reach=Reach.CORE_HARDWARE) == 10


def test_everything_returned_is_let_go_of(stand_in: Any, make_bridge: Any) -> None:
    bridge = make_bridge(stand_in.port)
    with bridge.construct(CORE_CLASS) as core:
        with core.asked("getLoadedDevices", reach=Reach.CORE_CACHE) as devices:
            assert devices.call("size", reach=Reach.CORE_CACHE) == 14
            assert stand_in.server.n_handles == 2
        assert stand_in.server.n_handles == 1
    assert stand_in.server.n_handles == 0


def test_exception_is_the_device_s_own_words(stand_in: Any, make_bridge: Any) -> None:
    with make_bridge(stand_in.port).construct(CORE_CLASS) as core, pytest.raises(JavaError) as error:
        core.call("getProperty", "Nope", "x", reach=Reach.CORE_HARDWARE)
    assert error.value.java_class == "java.lang.Exception"
    assert error.value.words == 'No device with label "Nope"'


def test_late_answer_is_never_taken_for_the_next(stand_in: Any, make_bridge: Any) -> None:
    """As in the recording of a frozen server: what was given up is carried out after the thaw, its answer is dropped."""
    patient = make_bridge(stand_in.port)
    bridge = make_bridge(stand_in.port, SHORT_S)
    stand_in.server.faults.is_silent = True
    for _ in range(2):
        with pytest.raises(StudioAwayError, match="did not answer"):
            bridge._main.ask({"command": "get-constructors", "classpath": STUDIO_CLASS})
    stand_in.server.faults.is_silent = False
    assert patient.connect() == "5.1.0"  # the thaw is over once another client is answered
    bridge._main._timeout_s = 20.0
    assert bridge.connect() == "5.1.0"
    n_constructors = sum(request["command"] == "get-constructors" for request in stand_in.server.requests)
    assert n_constructors == 2


def test_nobody_there_is_the_same_silence(make_bridge: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StudioAwayError, match=r"server .* is off"):
            make_bridge(taken.getsockname()[1], SHORT_S).connect()


def test_port_taken_by_another_program_is_silence(make_bridge: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StudioAwayError):
            make_bridge(taken.getsockname()[1], SHORT_S).connect()


@pytest.mark.parametrize(
    "garbage", [b"", b"hello", b"[1, 2]", b'{"type":"new kind"}', b'{"type":"none"', b"\xff\x00"]
)
def test_garbage_is_told_from_an_answer(stand_in: Any, make_bridge: Any, garbage: bytes) -> None:
    stand_in.server.faults.garbage = garbage
    with pytest.raises(BridgeError, match="not Micro-Manager's bridge"):
        make_bridge(stand_in.port).connect()


def test_killed_server_is_silence(stand_in: Any, make_bridge: Any) -> None:
    bridge = make_bridge(stand_in.port)
    bridge.connect()
    stand_in.stop()
    bridge._main._timeout_s = SHORT_S
    with pytest.raises(StudioAwayError):
        bridge.connect()


def test_headless_core_is_no_studio(stand_in: Any, make_bridge: Any) -> None:
    del stand_in.server.classes[STUDIO_CLASS]
    with pytest.raises(JavaError, match="Class not found"):
        make_bridge(stand_in.port).construct(STUDIO_CLASS)


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        ("byte-array", "u1", [0, 255]),
        ("short-array", "u2", [1, 65535]),
        ("int-array", "i4", [-2, 3]),
        ("float-array", "f4", [0.5, -1.0]),
        ("double-array", "f8", [1e-300, 2.0]),
    ],
)
def test_binary_parts_are_arrays(kind: str, dtype: str, values: list[float]) -> None:
    told = json.dumps({"type": kind, "value": "[B@1a2b3c4d"}).encode()
    sent = [told, (7).to_bytes(4, "little"), b"other", (0x1A2B3C4D).to_bytes(4, "little")]
    array = decode([*sent, np.array(values, dtype).tobytes()])
    assert array.dtype == dtype and array.tolist() == values


# -- what may be called


@pytest.mark.parametrize(
    "name",
    [
        *(
            "setProperty",
            "setConfig",
            "setPosition",
            "snapImage",
            "loadSystemConfiguration",
            "getSystemState",
        ),
        *(
            "updateSystemStateCache",
            "getTaggedImage",
            "registerCallback",
            "waitForSystem",
            "stopSequenceAcquisition",
        ),
    ],
)
def test_what_is_not_on_the_list_is_never_sent(stand_in: Any, make_bridge: Any, name: str) -> None:
    core = make_bridge(stand_in.port).construct(CORE_CLASS)
    n_before = len(stand_in.server.requests)
    with pytest.raises(ForbiddenCallError):
        core.call(name, reach=Reach.CORE_HARDWARE)
    assert len(stand_in.server.requests) == n_before


def test_core_is_out_of_reach_unless_it_is_switched_on(stand_in: Any, make_bridge: Any) -> None:
    bridge = make_bridge(stand_in.port, reach=Reach.STUDIO)
    with pytest.raises(ForbiddenCallError, match="CMMCore is not asked for"):
        bridge.construct(CORE_CLASS)
    with pytest.raises(ForbiddenCallError):
        bridge.construct(STUDIO_CLASS).call("core")
    assert [request["command"] for request in stand_in.server.requests] == ["constructor"]


def test_reads_that_wait_for_an_exposure_are_refused_while_frames_are_taken(
    stand_in: Any, make_bridge: Any
) -> None:
    core = make_bridge(stand_in.port).construct(CORE_CLASS)
    with pytest.raises(ForbiddenCallError, match="while it acquires"):
        core.call("getPosition", "Z", reach=Reach.CORE_CACHE)


def test_lists_hold_what_was_recorded_and_nothing_that_sets(wire_folder: Path) -> None:
    facts = json.loads((wire_folder / "h15_which_reads_wait.json").read_text("utf-8"))["facts"]
    waits = {call.partition("(")[0] for call in facts["waits"]}
    free = {call.partition("(")[0] for call in facts["does_not_wait"]}
    of_cache = allowed.CORE_CACHE[CORE_CLASS]
    assert not of_cache & waits
    assert of_cache - free <= {"getAPIVersionInfo", "getPrimaryLogFile"}  # constants, as getVersionInfo
    names = {
        n
        for circle in (allowed.STUDIO, allowed.CORE_CACHE, allowed.CORE_HARDWARE)
        for ns in circle.values()
        for n in ns
    }
    reading = ("get", "is", "has", "to", "size")
    objects = {"acquisitions", "live", "displays", "cache", "compat", "profile"}
    listener = allowed.STUDIO[allowed.LISTENER_CLASS]
    assert {name for name in names if not name.startswith(reading)} <= objects | listener


FORBIDDEN_WORDS = ("register_core_callback", "RemoteCoreCallback", "registerCallback", "set-field")


def test_no_source_names_the_call_that_kills_studio() -> None:
    """Not as a call, not as an attribute, not as a text that could be sent; docstrings may warn of it."""
    found = []
    for room in ("agent", "drivers", "qc_routines", "server"):
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                text = {ast.Attribute: "attr", ast.Name: "id", ast.alias: "name"}.get(type(node))
                named = getattr(node, text) if text else None
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and id(node) not in documentation
                ):
                    named = node.value
                if named and any(word in named for word in FORBIDDEN_WORDS):
                    found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} {named}")
    release = [place for place in found if place.startswith(str(Path("drivers/mmcore/release.py")))]
    assert [place for place in found if place not in release] == []


def test_scan_sees_a_forbidden_call() -> None:
    tree = ast.parse("core.register_core_callback(print)")
    assert any(isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_WORDS for node in ast.walk(tree))


def test_handle_names_all_its_types() -> None:
    reply = {
        "type": "unserialized-object",
        "class": "a.B",
        "hash-code": "x",
        "port": 1,
        "interfaces": ["a.C"],
    }
    assert decode([json.dumps(reply).encode()]) == Handle("a.B", "x", 1, frozenset({"a.B", "a.C"}))


# -- a whole state in one string


def test_verbose_of_the_recording_is_the_recorded_table(wire_folder: Path) -> None:
    table = json.loads((wire_folder / "demo_device_table.json").read_text("utf-8"))["devices"]
    known = [Key(label, name) for label, device in table.items() for name in device["properties"]]
    exchanges = json.loads((wire_folder / "h05_system_state_cache.json").read_text("utf-8"))["exchanges"]
    texts = [
        json.loads(e["reply"][0]["text"])["value"]
        for e in exchanges
        if e["label"] == "getVerbose" and e["reply"]
    ]
    values = parse_verbose(texts[0], known)
    assert set(values) == set(known)
    cached = {Key(d, n): p["cached"] for d, device in table.items() for n, p in device["properties"].items()}
    differing = {key for key in known if values[key] != cached[key]}
    assert {key.device for key in differing} <= {"Objective", "Camera"}  # moved between the two recordings
    assert len(differing) <= 4


def test_verbose_keeps_signs_that_it_does_not_escape(stand_in: Any, make_bridge: Any) -> None:
    odd = 'a=b:c <br>d\nCamera:Gain "\\ </b> @'
    stand_in.core.setProperty("Camera", "AsyncPropertyDelayMS", "0")
    stand_in.core.setProperty("Camera", "AsyncPropertyLeader", odd)
    core = make_bridge(stand_in.port).construct(CORE_CLASS)
    with core.asked("getSystemStateCache", reach=Reach.CORE_CACHE) as configuration:
        text = configuration.call("getVerbose", reach=Reach.CORE_CACHE)
    known = [
        Key(d, n) for d in stand_in.core.getLoadedDevices() for n in stand_in.core.getDevicePropertyNames(d)
    ]
    values = parse_verbose(text, known)
    assert values[Key("Camera", "AsyncPropertyLeader")] == odd
    assert values[Key("Camera", "BeadBlurRate")] == stand_in.core.getPropertyFromCache(
        "Camera", "BeadBlurRate"
    )
    assert len(values) == len(known)
