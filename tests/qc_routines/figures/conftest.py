"""Real measurements to draw, loaded by path: `tests` is no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def measurements() -> ModuleType:
    """One real measurement of every routine."""
    spec = importlib.util.spec_from_file_location("measurements", Path(__file__).with_name("measurements.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
