"""PSF and registration against truth and against the Cramer-Rao bound: ``python tests/benchmarks/qc_psf.py [scene ...]``.

Stacks of 61 x 1024 x 1024 uint16 are made with exact truth and fixed seeds. Each is measured in a process of its own:
once at first (machine code loaded from numba's cache or, on the very first run, compiled), then five times. Peak memory
is what the process held at most while measuring, less what it held before: the stack itself is not counted. The bound
is worked out here from numerical derivatives, not by the kernels that are tested. Prints one JSON object.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
SHAPE = (61, 1024, 1024)
TRUTH_UM = (0.80, 0.24, 0.26)
VOXEL_UM = (0.2, 0.065, 0.065)
N_TIMED = 5

SCENES: dict[str, dict[str, Any]] = {
    "easy": {},
    "dim": {"peak_e": 100.0, "n_stacks": 4},
    "deep": {"deep": True},
    "oversampled": {"n": 50, "apart": 90, "voxel_um": (0.1, 0.03, 0.0325), "margin": (30, 40, 40)},
    "crowded": {"n": 300, "apart": 14},
    "rotated": {"truth_um": (0.80, 0.24, 0.40), "angle_deg": 30.0},
    "one saturated": {"n_saturated": 1},
    "empty": {"n": 0},
}


def load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- scenes


def stack_of(scene: dict[str, Any], seed: int) -> np.ndarray:
    scenes = load("bead_scenes", FOLDER.parent / "qc_routines" / "bead_scenes.py")
    voxel, truth = scene.get("voxel_um", VOXEL_UM), scene.get("truth_um", TRUTH_UM)
    margin = (5, 16, 16) if scene.get("deep") else scene.get("margin", (15, 16, 16))
    centres = scenes.places(
        SHAPE, scene.get("n", 150), scene.get("apart", 48), seed, margin, flat=not scene.get("deep")
    )
    matrix = scenes.covariance(
        tuple(w / s for w, s in zip(truth, voxel, strict=True)), scene.get("angle_deg", 0.0)
    )
    peak_e = np.full(len(centres), scene.get("peak_e", 2000.0))
    peak_e[: scene.get("n_saturated", 0)] = 200_000.0
    return scenes.photographed(scenes.light_e(SHAPE, centres, matrix, peak_e), seed)


def bound_percent(scene: dict[str, Any]) -> list[float]:
    """Return the Cramer-Rao bound of the three FWHM, %: Poisson plus read noise, eleven parameters, all voxels."""
    voxel, truth = scene.get("voxel_um", VOXEL_UM), scene.get("truth_um", TRUTH_UM)
    sigma = np.array(truth) / voxel / 2.354820045
    grid = (
        np.stack(np.mgrid[tuple(slice(-int(6 * s), int(6 * s) + 1) for s in sigma)], -1).reshape(-1, 3) - 0.3
    )

    def model(p: np.ndarray) -> np.ndarray:
        covariance = np.array([[p[5], p[8], p[9]], [p[8], p[6], p[10]], [p[9], p[10], p[7]]])
        away = grid - p[2:5]
        return p[0] + p[1] * np.exp(-0.5 * np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away))

    at = np.array([50.0, scene.get("peak_e", 2000.0), 0, 0, 0, *sigma**2, 0, 0, 0])
    steps = 1e-5 * np.maximum(np.abs(at), 1.0)
    slopes = [(model(at + d) - model(at - d)) / (2 * d.sum()) for d in np.diag(steps)]
    information = np.einsum("kn,n,ln->kl", slopes, 1 / (model(at) + 1.6**2), slopes)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return [100 * float(errors[5 + i] / (2 * sigma[i] ** 2)) for i in range(3)]


# ---- one process for each stack


def measure_file(path: str, voxel_um: list[float], fwhm_um: list[float]) -> dict[str, Any]:
    start = time.perf_counter()
    from qc_routines.conditions import Camera, Optics, VoxelSize
    from qc_routines.psf import measure_psf

    imported_s = time.perf_counter() - start
    stack, given = (
        np.load(path),
        (VoxelSize(*voxel_um), Optics("widefield", 1.1, 1.518, 560), Camera(100, 1, 1.6)),
    )
    start = time.perf_counter()
    measure_psf(stack, *given)
    first_s = time.perf_counter() - start
    before_mib = _status_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    walls, start_cpu = [], time.process_time()
    for _ in range(N_TIMED):
        start = time.perf_counter()
        measured = measure_psf(stack, *given)
        walls.append(time.perf_counter() - start)
    cpu_s = (time.process_time() - start_cpu) / N_TIMED
    names = {
        "fwhm": [f"fwhm_{axis}_um" for axis in "zyx"],
        "error": [f"fwhm_{axis}_error_um" for axis in "zyx"],
    }
    names["axes"] = ["principal_1_um", "lateral_major_um", "lateral_minor_um"]
    good = measured.table["reason"] == ""
    columns = {k: [measured.table[name][good].tolist() for name in row] for k, row in names.items()}
    return columns | {
        "import_s": imported_s,
        "first_s": first_s,
        "wall_s": statistics.median(walls),
        "least_wall_s": min(walls),
        "cpu_s": cpu_s,
        "peak_extra_mib": _status_mib("VmHWM") - before_mib,
        "n_used": measured.n_used,
        "n_rejected": dict(measured.n_rejected),
        "remarks": list(measured.remarks),
    }


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def measured_stacks(scene: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for seed in range(scene.get("n_stacks", 1)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "stack.npy"
            np.save(path, stack_of(scene, seed))
            task = [str(path), scene.get("voxel_um", VOXEL_UM), scene.get("truth_um", TRUTH_UM)]
            command = [sys.executable, __file__, "--measure", json.dumps(task)]
            environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1])}
            found.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
            )
    return found


def report(scene: dict[str, Any]) -> dict[str, Any]:
    runs = measured_stacks(scene)
    keys = ("import_s", "first_s", "wall_s", "least_wall_s", "cpu_s", "peak_extra_mib")
    said: dict[str, Any] = {key: round(max(run[key] for run in runs), 3) for key in keys}
    said |= {"n_truth": scene.get("n", 150) * len(runs), "n_used": sum(run["n_used"] for run in runs)}
    said |= {"n_rejected": [run["n_rejected"] for run in runs], "remarks": runs[0]["remarks"]}
    if said["n_used"]:
        said |= accuracy(scene, runs)
    return said


def accuracy(scene: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    truth = np.array(scene.get("truth_um", TRUTH_UM))
    is_turned = "angle_deg" in scene
    column = "axes" if is_turned else "fwhm"
    truth = truth[[0, 2, 1]] if is_turned else truth
    widths = np.concatenate([np.array(run[column]) for run in runs], axis=1)
    off = 100 * (widths / truth[:, None] - 1)
    said = {
        "widths": "principal, major, minor" if is_turned else "z, y, x",
        "bias_percent": off.mean(axis=1).round(3).tolist(),
        "bias_error_percent": (off.std(axis=1) / np.sqrt(off.shape[1])).round(3).tolist(),
        "sd_percent": off.std(axis=1).round(3).tolist(),
        "worst_percent": round(float(np.abs(off).max()), 2),
    }
    if is_turned:
        return said | {"median_off_percent": np.median(off, axis=1).round(3).tolist()}
    errors = np.concatenate([np.array(run["error"]) for run in runs], axis=1)
    inside = np.abs(widths - truth[:, None]) < 1.96 * errors
    bound = np.array(bound_percent(scene))
    return said | {
        "bound_percent": bound.round(3).tolist(),
        "sd_over_bound": (off.std(axis=1) / bound).round(3).tolist(),
        "coverage_of_95_percent": inside.mean(axis=1).round(3).tolist(),
    }


# ---- registration


def report_registration() -> dict[str, Any]:
    """Two channels of a 100x stack, 150 beads, large shift; ten seeds."""
    from qc_routines.conditions import Camera, Optics, VoxelSize
    from qc_routines.registration import measure_registration

    scenes = load("bead_scenes", FOLDER.parent / "qc_routines" / "bead_scenes.py")
    shape, shift = (41, 512, 512), np.array([1.35, -7.4, 12.2])
    optics = {"FITC": Optics("widefield", 1.4, 1.518, 520), "Cy5": Optics("widefield", 1.4, 1.518, 670)}
    off, walls = [], []
    for seed in range(10):
        centres = scenes.places(shape, 60, 30, seed, (12, 24, 24))
        one = scenes.light_e(shape, centres, scenes.covariance((3.6, 2.9, 2.9)), 2000.0)
        two = scenes.light_e(shape, centres + shift, scenes.covariance((4.6, 3.8, 3.8)), 2000.0)
        stacks = {"FITC": scenes.photographed(one, seed), "Cy5": scenes.photographed(two, seed + 100)}
        start = time.perf_counter()
        found = measure_registration(stacks, VoxelSize(*VOXEL_UM), optics, Camera(100, 1, 1.6))
        walls.append(time.perf_counter() - start)
        truth_nm = 1000 * shift * VOXEL_UM
        off.append([found.value(f"shift_{a}[FITC-Cy5]") - t for a, t in zip("zyx", truth_nm, strict=True)])
    return {
        "wall_s": round(statistics.median(walls), 3),
        "worst_off_nm_zyx": np.abs(off).max(axis=0).round(3).tolist(),
        "rms_off_nm_zyx": np.sqrt(np.mean(np.square(off), axis=0)).round(3).tolist(),
    }


def main(names: list[str]) -> None:
    said = {name: report(scene) for name, scene in SCENES.items() if not names or name in names}
    if not names or "registration" in names:
        said["registration"] = report_registration()
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg(), "scenes": said}, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure_file(*json.loads(sys.argv[2]))))
    else:
        sys.path.insert(0, str(FOLDER.parents[1]))
        main(sys.argv[1:])
