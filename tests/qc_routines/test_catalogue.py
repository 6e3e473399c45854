"""The catalogue holds together: limits, causes and names speak of figures that exist."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

from qc_routines.catalogue import ROUTINES
from qc_routines.tolerances import read_tolerances

LIMITS = read_tolerances(Path(__file__).parents[2] / "config" / "qc_tolerances.toml")
NEEDING_OPTICS = [
    name for name, routine in ROUTINES.items() if "optics" in inspect.signature(routine.protocol).parameters
]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.routine} {limit.figure} {limit.against}")
def test_limits_are_of_figures_that_exist(limit) -> None:
    assert limit.figure in ROUTINES[limit.routine].figures


@pytest.mark.parametrize("routine", ROUTINES.values(), ids=ROUTINES)
def test_causes_explain_figures_of_their_routine_and_say_who_says_so(routine) -> None:
    assert routine.causes
    for cause in routine.causes:
        assert cause.figures and set(cause.figures) <= set(routine.figures)
        assert cause.check and cause.source


@pytest.mark.parametrize("routine", ROUTINES.values(), ids=ROUTINES)
def test_every_argument_without_a_default_is_described(routine) -> None:
    parameters = inspect.signature(routine.measure).parameters.values()
    needed = {p.name for p in parameters if p.default is p.empty}
    assert routine.inputs.keys() <= {p.name for p in parameters}
    assert routine.inputs, needed


@pytest.mark.parametrize("name", sorted(set(ROUTINES) - set(NEEDING_OPTICS)))
def test_protocols_say_what_to_acquire(name: str) -> None:
    protocol = ROUTINES[name].protocol()
    assert protocol.routine == name
    assert protocol.steps and protocol.sample and protocol.exposure and protocol.source
    assert protocol.duration_s > 0 and protocol.every_days > 0


def test_every_routine_is_in_the_documentation_and_its_example_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "qc-routines.md"
    text = page.read_text("utf-8")
    for routine in ROUTINES.values():
        assert (
            f"| `{routine.name}` | {routine.title} | `{routine.measure.__module__}.{routine.measure.__name__}` |"
            in text
        )
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted and not found.failed
