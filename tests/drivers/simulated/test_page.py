"""The example in docs/simulated-microscope.md runs, and prints what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers.simulated import FAULTS, SLIDES, SimulatedDriver

PAGE = Path(__file__).parents[3] / "docs" / "simulated-microscope.md"


def test_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    SimulatedDriver(names["core"], names["microscope"]).close()
    assert capsys.readouterr().out == "(300, 400) True\n85.0 nm rms of astigmatism\n"


def test_page_names_every_fault_and_slide() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert [name for name in FAULTS if name not in text] == []
    beads = {"beads 0.1 um", "beads 0.2 um", "beads 2 um"}
    assert [label for label in SLIDES if label not in beads and label not in text] == []
