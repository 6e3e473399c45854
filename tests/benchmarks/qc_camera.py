"""How fast frames stream and how right the camera's figures are: ``python tests/benchmarks/qc_camera.py``.

Streaming is compared with what this machine's memory gives to threads that only read, as many as there are cores and one
alone: in bytes of frames, and in all bytes that have to move (frames, and the sums that are read and written once for
64 frames). In turns, best of several; on a machine that others use too the ratio to what one reader gets is low,
because streaming wants all cores. Accuracy is of a simulated 512 x 512 sensor with 60 hot pixels and a lamp that varies by 2 %. Prints one JSON
object; the targets are half of the read bandwidth, 0.2 % for the gain and 2 % for the dark noise.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import numpy as np

from qc_routines._jit import kernel
from qc_routines._threads import available_cores, side_by_side, spans
from qc_routines.camera import measure_dark_noise, measure_photon_transfer, pixel_moments
from qc_routines.camera.moments import GROUP

SHAPE = (2048, 2048)
N_FRAMES = 128
N_ROUNDS = 9
BYTES_OF_SUMS = 2 + 2 * (2 * 4) + 2 * (2 * 2)
"""Per pixel and group of frames: first frame read, two float32 sums and two uint16 extremes read and written."""

GAIN, READ_NOISE_E, FULL_E, N_HOT, DRIFT = 0.47, 2.5, 115_000.0, 60, 0.02


def gb_per_s(n_bytes: float, action: Callable[[], object]) -> tuple[float, float]:
    """Return the rate by the clock and by the time that cores were busy, which other programs hardly change."""
    began, began_cpu = time.perf_counter(), time.process_time()
    action()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    return n_bytes / wall_s / 1e9, n_bytes / cpu_s / 1e9


@kernel
def total_of(words: np.ndarray) -> np.uint64:
    total = np.uint64(0)
    for i in range(words.size):
        total += words[i]
    return total


def read_all(words: np.ndarray, n_threads: int) -> None:
    side_by_side(lambda span: total_of(words[slice(*span)]), spans(words.size, n_threads), n_threads)


def streaming() -> dict[str, float]:
    frames = np.random.default_rng(0).integers(90, 120, (GROUP, *SHAPE), dtype=np.uint16)
    many = [
        frames[i % GROUP] for i in range(N_FRAMES)
    ]  # 512 MiB in turn: no byte is in a cache when its turn comes
    n_bytes, words, n_cores = (
        frames[0].nbytes * N_FRAMES,
        frames.reshape(-1).view(np.uint64),
        available_cores(),
    )
    alone, together, moving = [], [], []
    read_all(words, 1), pixel_moments(many)  # compiled
    for _ in range(N_ROUNDS):
        alone.append(gb_per_s(words.nbytes, lambda: read_all(words, 1)))
        together.append(gb_per_s(words.nbytes, lambda: read_all(words, n_cores)))
        moving.append(gb_per_s(n_bytes, lambda: pixel_moments(many)))
    all_bytes = 1 + BYTES_OF_SUMS / GROUP / 2
    (alone, alone_busy), (together, _), (moving, moving_busy) = (
        (max(wall for wall, _ in rates), max(busy for _, busy in rates))
        for rates in (alone, together, moving)
    )
    return {
        "cores": n_cores,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "read_bandwidth_of_one_core_gb_per_s": round(alone, 1),
        "read_bandwidth_gb_per_s": round(together, 1),
        "frames_gb_per_s": round(moving, 1),
        "frames_per_s_of_2048_x_2048": round(moving * 1e9 / frames[0].nbytes),
        "all_traffic_gb_per_s": round(moving * all_bytes, 1),
        "frames_over_read_bandwidth_of_one_core": round(moving / alone, 2),
        "frames_over_read_bandwidth": round(moving / together, 2),
        "frames_over_read_bandwidth_per_busy_core": round(moving_busy / alone_busy, 2),
        "all_traffic_over_read_bandwidth_per_busy_core": round(moving_busy * all_bytes / alone_busy, 2),
        "all_traffic_over_read_bandwidth": round(moving * all_bytes / together, 2),
    }


def accuracy(seed: int, shape: tuple[int, int] = (512, 512), n_levels: int = 30) -> dict[str, float]:
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[: shape[0], : shape[1]]
    light = 1 - 0.3 * ((y / shape[0] - 0.4) ** 2 + (x / shape[1] - 0.6) ** 2)
    response, offset = light * (1 + rng.normal(0, 0.01, shape)), 100 + rng.normal(0, 1.5, shape)
    hot = np.zeros(shape)
    hot.flat[rng.choice(hot.size, N_HOT, replace=False)] = rng.uniform(5000, 40_000, N_HOT)

    def frame(electrons: float) -> np.ndarray:
        lamp = 1 + DRIFT * rng.uniform(-0.5, 0.5)
        caught = np.minimum(rng.poisson(response * electrons * lamp + hot), FULL_E)
        return np.clip(
            np.rint(offset + GAIN * (caught + rng.normal(0, READ_NOISE_E, shape))), 0, 65_535
        ).astype(np.uint16)

    dark = pixel_moments(frame(0) for _ in range(100))
    levels = np.linspace(0.04, 1.2, n_levels) * FULL_E
    transfer = measure_photon_transfer(dark, ([frame(level), frame(level)] for level in levels))
    noise = measure_dark_noise(dark, transfer.value("conversion"))
    return {
        "gain_error_percent": round(100 * (transfer.value("gain") / GAIN - 1), 3),
        "gain_uncertainty_percent": round(100 * transfer.figure("gain").uncertainty / GAIN, 3),
        "dark_noise_error_percent": round(100 * (noise.value("dark_noise_e") / READ_NOISE_E - 1), 3),
        "dsnu_error_percent": round(100 * (noise.value("dsnu") / float(np.std(offset)) - 1), 3),
        "dsnu_all_over_dsnu": round(noise.value("dsnu_all") / noise.value("dsnu")),
        "full_well_error_percent": round(100 * (transfer.value("full_well") / FULL_E - 1), 2),
        "saturation_signal_error_percent": round(100 * (transfer.value("saturation_signal") / FULL_E - 1), 2),
    }


if __name__ == "__main__":
    print(json.dumps({"streaming": streaming(), "accuracy": [accuracy(seed) for seed in range(4)]}, indent=2))
