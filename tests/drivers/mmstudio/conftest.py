"""A Studio that is none: the stand-in over the real core, started and ended with each test."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def stand_in_package() -> Any:
    """Load the stand-in by its path: tests are no package, so that they can never shadow the code."""
    name = "studio_standin"
    if name not in sys.modules:
        folder = Path(__file__).with_name(name)
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def wire_folder() -> Path:
    folder = Path(__file__).parents[3] / ".." / "shared" / "fixtures" / "studio_wire"
    if not folder.is_dir():
        pytest.skip(
            "the recordings are not there: expected ../shared/fixtures/studio_wire beside the repository"
        )
    return folder


@pytest.fixture(scope="session")
def wire_shapes(wire_folder: Path) -> Any:
    return stand_in_package().recorded(wire_folder)


@pytest.fixture
def make_stand_in() -> Iterator[Callable[..., Any]]:
    """Start stand-ins over cores; all are ended afterwards."""
    made: list[Any] = []

    def make(core: Any, port: int = 0, **options: Any) -> Any:
        made.append(stand_in_package().StandIn(core, port, **options).start())
        return made[-1]

    yield make
    for stand_in in made:
        stand_in.stop()
