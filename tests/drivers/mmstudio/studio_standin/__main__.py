"""A stand-in as a process of its own: ``python -m studio_standin`` with this folder's parent on the path.

Says its port in a first line of JSON, then carries out lines of JSON from standard input, each answered by one line:
``{"do": "run", "settings": {…}, "pause_s": 0}``, ``{"do": "set", "device": …, "property": …, "value": …}``, ``{"do": "quit"}``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from studio_standin.studio import StandIn

from drivers.mmcore import load_core, release_callback


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--listener", action="store_true")
    options = parser.parse_args()
    core = load_core("demo")
    configuration_file = str(core.systemConfigurationFile())
    studio = StandIn(core, options.port, has_listener=options.listener, configuration_file=configuration_file)
    studio.start()
    say(port=studio.port)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "quit":
            break
        say(**carry_out(studio, order))
    studio.close()
    studio.stop()
    core.unloadAllDevices()
    release_callback(core)


def carry_out(studio: StandIn, order: dict[str, Any]) -> dict[str, Any]:
    if order["do"] == "set":
        studio.core.setProperty(order["device"], order["property"], order["value"])
        return {}
    began = time.perf_counter()
    datastore = studio.engine.run(order["settings"])
    took_s = time.perf_counter() - began
    return {
        "n_images": len(datastore.images),
        "took_s": took_s,
        "path": datastore.path and str(datastore.path),
    }


def say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # MMCore's delivery threads outlive their callback
