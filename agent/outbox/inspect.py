"""Prints a segment as NDJSON: ``python -m agent.outbox.inspect <segment> …``.

One line a frame, with its number and place; the record itself under ``record``. Damage is printed where it lies. Reads
only, and needs neither the agent nor a collector.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.outbox.frames import HEADER, Damage, Frame, FrameReader, scan


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what lies in a segment, in order.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    for item in scan(path.read_bytes()):
        if isinstance(item, Damage):
            yield {"damage": [item.start, item.end], "is_tail": item.is_tail}
        elif item.flags & HEADER:
            yield {"header": json.loads(item.payload)}
        else:
            yield {"seq": item.seq, "at": [item.start, item.end], "record": _shown(item)}


def main(arguments: Sequence[str]) -> int:
    """Print every segment named; return 1 when one was damaged or could not be read."""
    code = 0
    for name in arguments:
        try:
            for line in lines(Path(name)):
                code |= "damage" in line
                print(json.dumps(line, ensure_ascii=False))
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 1
    return code


def _shown(frame: Frame) -> Any:
    record = FrameReader().record(frame)
    try:
        return json.loads(record)
    except ValueError:
        return record.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
