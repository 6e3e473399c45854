"""Scopestamp beside microscopemetrics and emva1288: ``python tests/benchmarks/qc_peers.py [--environments DIR] [name ...]``.

Each program measures the same arrays, in the same run, in a process and an environment of its own, which is made at the
first run (the peers want old packages and are under the GPL: they are started, never imported). Names choose among
beads, field and camera, or scenes of theirs. Prints one JSON object: time, memory above what the process held with the
array loaded, errors against the truth, and ratios peer / ours, above 1 where ours is better. Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
PEERS = {
    "microscopemetrics": ("microscopemetrics==0.2.4",),
    "emva1288": ("emva1288==1.0.2", "numpy<2", "setuptools"),
}
TIMES_OURS, TIMES_PEER = 5, 1
LONGEST_S = 600
GAIN, READ_NOISE_E, FULL_E, OFFSET_SD_ADU, PRNU = 0.47, 2.5, 115_000.0, 1.5, 0.01


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_of(peer: str, environments: Path) -> Path:
    """Return the interpreter of a peer's environment, which is made when it is not there."""
    folder = environments / peer
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True, stdout=sys.stderr
        )
        (folder / "ready").touch()
    return python


def ran(python: Path | str, script: str, task: dict[str, Any]) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1]) if script == "run_ours.py" else ""}
    command = [str(python), str(FOLDER / "peers" / script), json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {LONGEST_S} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:160]}
    return json.loads(done.stdout.splitlines()[-1])


def both(environments: Path, peer: str, task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    ours = ran(sys.executable, "run_ours.py", task | {"n_times": TIMES_OURS})
    theirs = ran(python_of(peer, environments), f"run_{peer}.py", task | {"n_times": TIMES_PEER})
    return ours, theirs


def compared(ours: dict[str, Any], theirs: dict[str, Any], peer: str) -> dict[str, Any]:
    said: dict[str, Any] = {"scopestamp": ours, peer: theirs}
    if "failed" not in ours and "failed" not in theirs:
        said["time_ratio"] = round(theirs["wall_s"] / ours["wall_s"], 1)
        said["cpu_ratio"] = round(theirs["cpu_s"] / ours["cpu_s"], 1)
        said["memory_ratio"] = round(theirs["peak_extra_mib"] / max(ours["peak_extra_mib"], 0.1), 1)
    return said


# ---- beads


def beads(name: str, environments: Path, folder: Path) -> dict[str, Any]:
    scenes = load("qc_psf")
    scene = scenes.SCENES[name]
    voxel_um, truth_um = scene.get("voxel_um", scenes.VOXEL_UM), scene.get("truth_um", scenes.TRUTH_UM)
    path = folder / "stack.npy"
    np.save(path, scenes.stack_of(scene, 0))
    found = both(
        environments, "microscopemetrics", {"kind": "beads", "path": str(path), "voxel_um": voxel_um}
    )
    is_turned = "angle_deg" in scene
    ours, theirs = (bead_errors(one, truth_um, is_turned) for one in found)
    return {"n_truth": scene.get("n", 150)} | compared(ours, theirs, "microscopemetrics")


def bead_errors(found: dict[str, Any], truth_um: tuple[float, ...], is_turned: bool) -> dict[str, Any]:
    """Return counts, cost and errors; of turned beads those of the axes ratio, by the means each program has."""
    widths, axes = found.pop("fwhm_um", None), found.pop("axes_um", None)
    if not widths or not widths[0]:
        return found
    if is_turned:
        long, short = (np.median(row) for row in (axes or (widths[2], widths[1])))
        truth = max(truth_um[1:]) / min(truth_um[1:])
        return found | {
            "axes_ratio_error_percent": round(100 * (max(long, short) / min(long, short) / truth - 1), 2)
        }
    off = 100 * (np.array(widths) / np.array(truth_um)[:, None] - 1)
    return found | {
        "bias_percent_zyx": off.mean(axis=1).round(2).tolist(),
        "sd_percent_zyx": off.std(axis=1).round(2).tolist(),
        "worst_percent": round(float(np.abs(off).max()), 1),
    }


# ---- field illumination


def field(name: str, environments: Path, folder: Path) -> dict[str, Any]:
    scenes = load("qc_illumination")
    case = scenes.CASES[name]
    frame, corner_ratio = scenes.field(**case)
    path = folder / "frame.npy"
    np.save(path, frame)
    offset_adu, centre_yx = case.get("offset_adu", 100.0), case.get("centre_yx", (900.0, 1200.0))
    found = both(
        environments, "microscopemetrics", {"kind": "field", "path": str(path), "offset_adu": offset_adu}
    )
    for one in found:
        if "failed" not in one:
            centre, ratio = one.pop("centre_yx"), one.pop("corner_ratio")
            one["centre_error_px"] = round(float(np.hypot(*np.subtract(centre, centre_yx))), 2)
            one["corner_ratio_error_percent"] = (
                None if ratio is None else round(100 * (ratio / corner_ratio - 1), 2)
            )
    return compared(*found, "microscopemetrics")


# ---- camera

CAMERAS = {"clean": (0, 0.0), "60 hot pixels, 2 % lamp drift": (60, 0.02)}


def camera(name: str, environments: Path, folder: Path) -> dict[str, Any]:
    n_hot, drift = CAMERAS[name]
    path = folder / "frames.npz"
    np.savez(path, **frames_of_camera(n_hot, drift))
    found = both(environments, "emva1288", {"kind": "camera", "path": str(path)})
    truth = {
        "gain": GAIN,
        "dark_noise_e": READ_NOISE_E,
        "dsnu_e": OFFSET_SD_ADU / GAIN,
        "prnu_percent": 100 * PRNU,
        "full_well_e": FULL_E,
    }
    for one in found:
        for figure in truth if "failed" not in one else ():
            value = one.pop(figure)
            is_known = value is not None and np.isfinite(value)
            one[f"{figure}_error_percent"] = round(100 * (value / truth[figure] - 1), 2) if is_known else None
    return compared(*found, "emva1288")


def frames_of_camera(n_hot: int, drift: float, shape: tuple[int, int] = (512, 512)) -> dict[str, np.ndarray]:
    """Return 100 dark, 100 bright and 30 pairs of frames in even light."""
    rng = np.random.default_rng(0)
    response, offset = 1 + rng.normal(0, PRNU, shape), 100 + rng.normal(0, OFFSET_SD_ADU, shape)
    hot = np.zeros(shape)
    hot.flat[rng.choice(hot.size, n_hot, replace=False)] = rng.uniform(5000, 40_000, n_hot)

    def frame(light_e: float) -> np.ndarray:
        lamp = 1 + drift * rng.uniform(-0.5, 0.5)
        caught = np.minimum(rng.poisson(response * light_e * lamp + hot), FULL_E)
        counts = offset + GAIN * (caught + rng.normal(0, READ_NOISE_E, shape))
        return np.clip(np.rint(counts), 0, 65_535).astype(np.uint16)

    light = np.linspace(0.04, 1.2, 30) * FULL_E
    return {
        "light_e": light,
        "dark": np.stack([frame(0) for _ in range(100)]),
        "bright": np.stack([frame(0.5 * FULL_E) for _ in range(100)]),
        "pairs": np.stack([[frame(level), frame(level)] for level in light]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    default = Path(tempfile.gettempdir()) / "scopestamp-qc-peers"
    parser.add_argument("--environments", type=Path, default=default)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    sys.path.insert(0, str(FOLDER.parents[1]))
    kinds = {
        "beads": (beads, load("qc_psf").SCENES),
        "field": (field, load("qc_illumination").CASES),
        "camera": (camera, CAMERAS),
    }
    said: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg(), "peers": PEERS}
    for kind, (measure, scenes) in kinds.items():
        chosen = [name for name in scenes if not given.names or kind in given.names or name in given.names]
        for name in chosen:
            with tempfile.TemporaryDirectory() as folder:
                said.setdefault(kind, {})[name] = measure(name, given.environments, Path(folder))
            print(f"{kind}: {name}: {json.dumps(said[kind][name])}", file=sys.stderr)
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
