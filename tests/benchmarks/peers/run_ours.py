"""Measures the same array with Scopestamp; see `qc_peers.py`, which starts it."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from _timed import timed

from qc_routines.camera import (
    measure_dark_noise,
    measure_photon_transfer,
    measure_uniformity,
    pixel_moments,
)
from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.illumination import measure_illumination
from qc_routines.psf import measure_psf


def beads(task: dict[str, Any]) -> dict[str, Any]:
    stack = np.load(task["path"])
    given = VoxelSize(*task["voxel_um"]), Optics("widefield", 1.1, 1.518, 560), Camera(100, 1, 1.6)
    measured, cost = timed(lambda: measure_psf(stack, *given), task["n_times"])
    good = measured.table["reason"] == ""
    return cost | {
        "n_used": measured.n_used,
        "n_rejected": dict(measured.n_rejected),
        "fwhm_um": [measured.table[f"fwhm_{axis}_um"][good].tolist() for axis in "zyx"],
        "axes_um": [measured.table[f"lateral_{name}_um"][good].tolist() for name in ("major", "minor")],
    }


def field(task: dict[str, Any]) -> dict[str, Any]:
    frame = np.load(task["path"])
    measured, cost = timed(lambda: measure_illumination(frame, task["offset_adu"]), task["n_times"])
    centre = [measured.value(f"centre_fit_{axis}") for axis in "yx"]
    return cost | {"centre_yx": centre, "corner_ratio": measured.value("corner_ratio")}


def camera(task: dict[str, Any]) -> dict[str, Any]:
    given = np.load(task["path"])
    dark, bright, pairs = (given[name] for name in ("dark", "bright", "pairs"))

    def analyse() -> dict[str, float | None]:
        without = pixel_moments(dark)
        transfer = measure_photon_transfer(without, pairs)
        noise = measure_dark_noise(without, transfer.value("conversion"))
        return {
            "gain": transfer.value("gain"),
            "dark_noise_e": noise.value("dark_noise_e"),
            "dsnu_e": noise.value("dsnu_e"),
            "prnu_percent": measure_uniformity(without, bright).value("prnu"),
            "full_well_e": transfer.value("full_well"),
        }

    found, cost = timed(analyse, task["n_times"])
    return cost | found


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    print(json.dumps({"beads": beads, "field": field, "camera": camera}[task["kind"]](task)))
