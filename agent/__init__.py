"""Scopestamp's agent: captures what a microscope is and does, and streams it to a collector.

In a pymmcore-plus program, one line is enough::

    import agent
    agent.attach(core)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.capture.attach import attach

__all__ = ["attach"]


def __getattr__(name: str) -> Any:
    # Lazy, because the collector imports `agent.records` and must not load Micro-Manager with it.
    if name == "attach":
        from agent.capture.attach import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
