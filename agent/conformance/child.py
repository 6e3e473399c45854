"""The hardware process of a conformance run: ``python -m agent.conformance.child``.

It speaks as `agent.hardware.child` does, in lines of JSON, but works on one thread: a call that hangs is ended by ending
the process, which is the caller's to do.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, BinaryIO

from agent.conformance.opening import open_core
from agent.conformance.probe import REFUSALS, Probe
from agent.errors import CaptureError, ScopestampError
from agent.hardware.child import EXIT_NOT_LOADED, Channel, _send_output_to, not_loaded
from agent.hardware.order import ChildOrder
from agent.hardware.owner import own_hardware
from drivers import DriverError

CALLS = ("describe", "read", "try_value", "try_preset", "try_move", "acquire")


def serve(probe: Probe, channel: Channel, lines: BinaryIO) -> None:
    """Answer calls until told to shut down or until the caller is gone."""
    for line in lines:
        order = json.loads(line)
        if order["call"] not in CALLS:  # shutdown
            channel.send({"id": order["id"], "result": None})
            return
        channel.send({"id": order["id"]} | _answer(probe, order["call"], order["args"]))


def _answer(probe: Probe, name: str, args: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": getattr(probe, name)(**args)}
    except (*REFUSALS, CaptureError) as error:
        return {"error": " ".join(str(error).split()) or type(error).__name__}


def main() -> int:
    """Run the process; the exit code is 0, or `EXIT_NOT_LOADED` when the hardware could not be loaded."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # the caller's to heed: it puts things back through us
        signal.signal(ending, signal.SIG_IGN)
    lines = sys.stdin.buffer
    channel = Channel(os.fdopen(os.dup(1), "wb", closefd=True))
    order = ChildOrder.model_validate_json(lines.readline())
    _send_output_to(order.log_file)
    try:
        lease = own_hardware(order.settings.hardware, order.purpose, order.deadline_s)
        core = open_core(order.settings, order.log_file.with_name("mmcore.log"))
    except (DriverError, ScopestampError) as error:
        channel.send(not_loaded(error))
        return EXIT_NOT_LOADED
    channel.send({"event": "ready"})
    serve(Probe(core, order.data_dir), channel, lines)
    core.unloadAllDevices()
    lease.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
