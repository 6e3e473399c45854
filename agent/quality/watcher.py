"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.quality.steps import Shot

if TYPE_CHECKING:
    from agent.quality.plans import Plan


@dataclass(frozen=True)
class Watcher:
    """Who is told how a run goes; every part may be left out.

    Attributes
    ----------
    on_plan : callable
        Gets the plan, before anything is taken.
    on_frames : callable
        Gets the number of frames and readings taken so far.
    on_numbers : callable
        Gets what the newest frame holds, see `agent.hardware.numbers`, or the newest reading.
    on_shot : callable
        Gets each finished acquisition and its dataset.
    say : callable
        Gets sentences.
    """

    on_plan: Callable[[Plan], None] = lambda plan: None
    on_frames: Callable[[int], None] = lambda n: None
    on_numbers: Callable[[Mapping[str, Any]], None] = lambda numbers: None
    on_shot: Callable[[Shot, Path], None] = lambda shot, path: None
    say: Callable[[str], None] = lambda text: None
