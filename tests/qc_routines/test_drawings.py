"""Drawings are made of what the routines give, and only on demand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.camera import measure_dark_noise, measure_defects, measure_photon_transfer
from qc_routines.drawings import DRAWINGS, draw
from qc_routines.drift import measure_drift
from qc_routines.illumination import measure_illumination
from qc_routines.power import measure_power_stability, measure_sample_power
from qc_routines.stage import measure_stage

RNG = np.random.default_rng(0)


def light(level: float, n: int = 3) -> list[np.ndarray]:
    return [
        (100 + RNG.normal(0, 2, (64, 80)) + RNG.poisson(level, (64, 80))).astype(np.uint16) for _ in range(n)
    ]


MEASUREMENTS = {
    "illumination": lambda: measure_illumination(light(5000)[0], 100.0),
    "dark_noise": lambda: measure_dark_noise(light(0)),
    "defects": lambda: measure_defects(light(0, 12)),
    "photon_transfer": lambda: measure_photon_transfer(light(0), [light(level) for level in (1e3, 2e3, 5e3)]),
    "stage": lambda: measure_stage(RNG.normal(0, 1, (8, 2)), ["left", "right"] * 4, np.ones(8)),
    "drift": lambda: measure_drift(np.arange(30) * 60.0, RNG.normal(0, 0.01, (30, 2))),
    "power_stability": lambda: measure_power_stability(np.arange(40.0), RNG.normal(5, 0.1, 40)),
}


@pytest.mark.parametrize("routine", MEASUREMENTS)
def test_drawing_can_be_saved(routine: str, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    figure = draw(MEASUREMENTS[routine]())
    figure.savefig(tmp_path / "drawing.png")
    assert (tmp_path / "drawing.png").stat().st_size > 3000
    assert len([axes for axes in figure.axes if axes.get_title()]) == len(DRAWINGS[routine])


def test_what_cannot_be_drawn_is_refused() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="sample_power"):
        draw(measure_sample_power(1.0))


def test_matplotlib_is_not_imported_with_the_routines() -> None:
    program = "import sys, qc_routines.drawings, qc_routines.catalogue; print('matplotlib' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"
