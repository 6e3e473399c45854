"""Modules beside the tests, loaded by path: `tests` is no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    """Slow and obvious oracles."""
    return _beside("naive")


@pytest.fixture(scope="session")
def runs() -> ModuleType:
    """The simulated microscope, and one run of a routine on it by seed."""
    return _beside("repeated_runs")


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    """Bead stacks with exact truth."""
    return _beside("bead_scenes")


@pytest.fixture(scope="session")
def rendered() -> ModuleType:
    """What the simulation draws, measured without noise."""
    return _beside("rendered")
