"""Random numbers that depend on seed, frame and pixel alone, so a region shows the very noise of the full frame.

Each pixel of each frame has its own counter-based stream: SplitMix64 (Steele et al., OOPSLA 2014, figure 17,
doi:10.1145/2660193.2660195) started at a hash of the three numbers. Normal deviates come from the ziggurat with 128
layers (Marsaglia and Tsang, J. Stat. Softw. 5(8) (2000), doi:10.18637/jss.v005.i08, in Doornik's form).
"""

from __future__ import annotations

import numpy as np

from drivers.simulated._jit import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
PIXEL_STRIDE = np.uint64(0xD1342543DE82EF95)
FRAME_STRIDE = np.uint64(0xA24BAED4963EE407)
MIX_A, MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S11, LAYER_MASK = (np.uint64(n) for n in (27, 30, 31, 11, 127))
UNIT = 2.0**-53

TAIL, LAYER_AREA = 3.442619855899, 9.91256303526217e-3
POISSON_BY_NORMAL = 12.0
"""Above this mean a Poisson deviate is taken from a skewed normal: mean and variance exact, skewness to first order."""


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    edges = np.zeros(129)
    edges[0], edges[1] = LAYER_AREA / np.exp(-0.5 * TAIL**2), TAIL
    for i in range(2, 128):
        height = np.exp(-0.5 * edges[i - 1] ** 2)
        edges[i] = np.sqrt(-2 * np.log(LAYER_AREA / edges[i - 1] + height))
    return edges, edges[1:] / edges[:-1]


EDGES, RATIOS = _ziggurat()


def _poisson_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return distribution functions at means 0, 1/4, 1/2 ... and, per 1/64 of probability, where to start looking."""
    means = np.arange(0, POISSON_BY_NORMAL + POISSON_STEP, POISSON_STEP)[:, None]
    counts = np.arange(64.0)
    factors = np.where(counts > 0, means / np.maximum(counts, 1), np.exp(-means))
    distributions = np.cumsum(np.cumprod(factors, axis=1), axis=1)
    distributions[:, -1] = 1.0
    starts = [np.searchsorted(row, np.arange(64) / 64, side="left") for row in distributions]
    return distributions, np.array(starts, np.int64)


POISSON_STEP = 0.25
DISTRIBUTIONS, STARTS = _poisson_tables()


@kernel
def mix(value):
    """Return 64 well-mixed bits of `value`."""
    value = (value ^ (value >> S30)) * MIX_A
    value = (value ^ (value >> S27)) * MIX_B
    return value ^ (value >> S31)


@kernel
def stream(seed, frame, pixel):
    """Return the start of the stream of one pixel in one frame."""
    return mix(np.uint64(seed) + np.uint64(frame) * FRAME_STRIDE) + np.uint64(pixel) * PIXEL_STRIDE


@kernel
def uniform(state):
    """Return a deviate in [0, 1) and the next state."""
    state += GOLDEN
    return np.float64(mix(state) >> S11) * UNIT, state


@kernel
def normal(state):
    """Return a standard normal deviate and the next state."""
    while True:
        state += GOLDEN
        bits = mix(state)
        layer = np.int64(bits & LAYER_MASK)
        u = 2.0 * (np.float64(bits >> S11) * UNIT) - 1.0
        if abs(u) < RATIOS[layer]:
            return u * EDGES[layer], state
        second, state = uniform(state)
        if layer == 0:
            third, state = uniform(state)
            x = -np.log(1.0 - second) / TAIL
            if -2.0 * np.log(1.0 - third) > x * x:
                return (TAIL + x if u > 0 else -TAIL - x), state
            continue
        x = u * EDGES[layer]
        outer = np.exp(-0.5 * (EDGES[layer] ** 2 - x * x))
        inner = np.exp(-0.5 * (EDGES[layer + 1] ** 2 - x * x))
        if inner + second * (outer - inner) < 1.0:
            return x, state


@kernel
def poisson(mean, state):
    """Return a Poisson deviate and the next state.

    A small mean is the sum of a tabulated one, drawn by inversion, and of a rest below 1/4, whose probability of zero
    is a short series. A large one is mean + s n + (n^2 - 1) / 6, rounded, where s makes up for the variance that
    rounding (1/12) and the skewness term (1/18) add.
    """
    if mean >= POISSON_BY_NORMAL:
        n, state = normal(state)
        return np.floor(mean + np.sqrt(mean - 5.0 / 36.0) * n + (n * n - 1.0) / 6.0 + 0.5), state
    table = int(mean / POISSON_STEP)
    u, state = uniform(state)
    count = STARTS[table, int(u * 64.0)]
    while u > DISTRIBUTIONS[table, count]:
        count += 1
    rest = mean - table * POISSON_STEP
    u, state = uniform(state)
    probability = 1.0 - rest * (
        1.0 - rest / 2.0 * (1.0 - rest / 3.0 * (1.0 - rest / 4.0 * (1.0 - rest / 5.0)))
    )
    total, more = probability, 0
    while u > total and more < 8:
        more += 1
        probability *= rest / more
        total += probability
    return float(count + more), state
