"""The recordings of a real bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def wire_folder() -> Path:
    folder = Path(__file__).parents[3] / ".." / "shared" / "fixtures" / "studio_wire"
    if not folder.is_dir():
        pytest.skip(
            "the recordings are not there: expected ../shared/fixtures/studio_wire beside the repository"
        )
    return folder


@pytest.fixture(scope="session")
def wire_shapes(wire_folder: Path, studio_standin: Any) -> Any:
    return studio_standin.recorded(wire_folder)
