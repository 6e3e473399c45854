"""A drawing of where a slide goes, in plain characters."""

from __future__ import annotations

from agent.records import OperatorTask

_WIDTH = 15


def picture_of(task: OperatorTask) -> str:
    """Return the holder seen from above, the stage's front towards the reader.

    >>> from datetime import UTC, datetime
    >>> print(picture_of(OperatorTask(slide="beads", slot=2, n_slots=2, until=datetime(2026, 1, 1, tzinfo=UTC))))
            back of the stage
    +---------------+---------------+
    |               | [label]       |
    |       1       |     beads     |
    |               |       +       |
    +---------------+---------------+
                            ^ put it here; + lies over the objective
    """
    slots = range(1, task.n_slots + 1)
    line = "+" + "+".join("-" * _WIDTH for _ in slots) + "+"

    def row(mine: str, other: str = "") -> str:
        cells = (mine if slot == task.slot else other.format(slot) for slot in slots)
        return "|" + "|".join(cell.ljust(_WIDTH)[:_WIDTH] for cell in cells) + "|"

    name = task.slide if len(task.slide) <= _WIDTH else task.slide[: _WIDTH - 1] + "…"
    arrow = (
        " " * (1 + (task.slot - 1) * (_WIDTH + 1) + _WIDTH // 2) + "^ put it here; + lies over the objective"
    )
    return "\n".join(
        (
            "back of the stage".center(len(line)).rstrip(),
            line,
            row(" [label]"),
            row(name.center(_WIDTH), "{:^" + str(_WIDTH) + "}"),
            row("+".center(_WIDTH)),
            line,
            arrow,
        )
    )
