"""Images of small objects, ready to be placed anywhere: one stack per objective, channel and object.

The stack holds coefficients of a cubic B-spline (Unser, IEEE Signal Process. Mag. 16(6), 22 (1999), box 2,
doi:10.1109/79.799930): an interpolation of four samples per axis that at 1.5 times the Nyquist rate is right to three
thousandths of the peak. The object's shape, the integration over the camera's pixels and the spline's own pre-filter are all
multiplications of one Fourier transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.pupil import actual_index, intensity, pupil_field
from drivers.simulated.truth import Objective, Pupil

LATERAL_RATE = 1.5
AXIAL_RATE = 1.8
"""Samples taken, in multiples of the Nyquist rate of the intensity."""
FOCAL_REACH = 14
"""Planes on either side of focus, in Nyquist steps: four times the axial FWHM, which is 1.77 of them, and some more."""
WIDEST_PX = 96
"""No image reaches further from its centre: at 1.45 that cuts the outer rays beyond 2 um of defocus."""

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Shape:
    """What one object looks like: a point unless it has a diameter."""

    kind: str = "sphere"
    """"sphere" (filled evenly) or "ring" (thin and flat)."""
    diameter_um: float = 0.0


@dataclass(frozen=True)
class PsfStack:
    """Spline coefficients of the share of an object's light that each pixel receives."""

    coefficients: NDArray[np.float32]
    """Shape (planes, n, n), axes (defocus, y, x)."""
    first_defocus_um: float
    defocus_step_um: float
    oversampling: int
    """Fine samples per pixel."""
    centre: int
    """Fine sample at the object's centre, along y and x."""
    radii_px: NDArray[np.int64]
    """How far each plane's image reaches."""

    @property
    def line_coefficients(self) -> NDArray[np.float32]:
        """Coefficients for an endless line along y, per pixel length of line; shape (planes, n)."""
        return self.coefficients.sum(axis=1, dtype=np.float64).astype(np.float32) / self.oversampling


@lru_cache(maxsize=6)  # about 30 MB and 1.5 s each
def psf_stack(
    objective: Objective, pupil: Pupil, emission_nm: float, pixel_size_um: float, shape: Shape
) -> PsfStack:
    """Return the stack for objects of one shape.

    Parameters
    ----------
    objective, pupil : Objective, Pupil
        The optics.
    emission_nm : float
        Vacuum wavelength.
    pixel_size_um : float
        Camera pixel in the slide.
    shape : Shape
        The object.
    """
    index = actual_index(objective, pupil)
    aperture = min(objective.numerical_aperture, 0.999 * index)
    wavelength_um = emission_nm / 1000
    # Cut-off frequencies of the intensity: 2 NA / lambda across, (n - sqrt(n^2 - NA^2)) / lambda along the axis.
    oversampling = ceil(pixel_size_um * 4 * aperture * LATERAL_RATE / wavelength_um)
    nyquist_um = wavelength_um / (2 * (index - sqrt(index**2 - aperture**2)))
    step_um = nyquist_um / AXIAL_RATE
    n_side = ceil(FOCAL_REACH * AXIAL_RATE)
    n_pad = 4 + ceil(shape.diameter_um / 2 / step_um if shape.kind == "sphere" else 0)
    defocus_um = np.arange(-n_side - n_pad, n_side + n_pad + 1) * step_um
    slope = aperture / sqrt(index**2 - aperture**2)
    reach_um = 5 * wavelength_um / aperture + np.abs(defocus_um) * slope + shape.diameter_um / 2
    radii_px = np.minimum(np.ceil(reach_um / pixel_size_um).astype(np.int64) + 1, WIDEST_PX)
    planes = _planes(objective, pupil, emission_nm, defocus_um, radii_px, pixel_size_um, oversampling)
    fine_um = pixel_size_um / oversampling
    coefficients = _filtered(planes, step_um, fine_um, pixel_size_um, shape)
    kept = slice(n_pad, n_pad + 2 * n_side + 1)
    return PsfStack(
        np.ascontiguousarray(coefficients[kept]),
        float(defocus_um[n_pad]),
        step_um,
        oversampling,
        planes.shape[1] // 2,
        radii_px[kept],
    )


def _planes(
    objective: Objective,
    pupil: Pupil,
    emission_nm: float,
    defocus_um: Array,
    radii_px: NDArray[np.int64],
    pixel_size_um: float,
    oversampling: int,
) -> NDArray[np.float32]:
    """Return the share of a point's light per pixel area on the fine grid, odd-sized, centred."""
    fine_um = pixel_size_um / oversampling
    halves = radii_px * oversampling + 4
    widest = int(halves.max())
    stack = np.zeros((len(defocus_um), 2 * widest + 1, 2 * widest + 1), np.float32)
    for half in np.unique(halves):
        field = pupil_field(objective, pupil, emission_nm, half * fine_um)
        offsets_um = np.arange(-half, half + 1) * fine_um
        window = slice(widest - half, widest + half + 1)
        for i in np.flatnonzero(halves == half):
            mirrored = len(defocus_um) - 1 - i
            if field.is_perfect and mirrored < i:
                stack[i, window, window] = stack[mirrored, window, window]
            else:
                stack[i, window, window] = intensity(field, defocus_um[i], offsets_um) * pixel_size_um**2
    return stack


def _filtered(
    stack: NDArray[np.float32], step_um: float, fine_um: float, pixel_size_um: float, shape: Shape
) -> NDArray[np.float32]:
    """Return spline coefficients of the stack after convolution with the object and with a pixel."""
    n_z, n_y, n_x = stack.shape
    padded = tuple(_good_length(n) for n in stack.shape)
    z, y = np.fft.fftfreq(padded[0]), np.fft.fftfreq(padded[1])
    x = np.fft.rfftfreq(padded[2])
    spectrum = np.fft.rfftn(stack, padded, axes=(0, 1, 2))
    across = np.hypot(y[:, None], x) / fine_um
    for i, frequency in enumerate(z):
        spectrum[i] *= (_shape_spectrum(shape, across, frequency / step_um) / _spline(frequency)).astype(
            np.float32
        )
    pixel_y, pixel_x = (np.sinc(f * pixel_size_um / fine_um) / _spline(f) for f in (y, x))
    spectrum *= (pixel_y[:, None] * pixel_x).astype(np.float32)
    return np.fft.irfftn(spectrum, padded, axes=(0, 1, 2))[:n_z, :n_y, :n_x].astype(np.float32)


def _spline(frequency: Array | float) -> Array | float:
    """Fourier transform of the cubic B-spline's samples 1/6, 4/6, 1/6."""
    return (2 + np.cos(2 * pi * np.asarray(frequency))) / 3


def _shape_spectrum(shape: Shape, across: Array, along: float) -> Array:
    """Fourier transform of the object, 1 at zero; frequencies per um."""
    if shape.kind == "ring":
        return _bessel_j0(pi * shape.diameter_um * across)
    q = pi * shape.diameter_um * np.hypot(across, along)
    safe = np.where(q < 1e-3, 1.0, q)
    return np.where(q < 1e-3, 1 - q**2 / 10, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)


def _bessel_j0(q: Array) -> Array:
    """J0 as the mean of cos(q sin t) over a circle, exact for q well below the number of angles."""
    angles = (np.arange(512) + 0.5) * (pi / 2 / 512)
    table_q = np.linspace(0, float(q.max()), 4096)
    table = np.cos(np.outer(table_q, np.sin(angles))).mean(axis=1)
    return np.interp(q, table_q, table)


def _good_length(n: int) -> int:
    """Return the smallest product of 2, 3 and 5 that is at least `n`: quick to transform."""
    products = (2**a * 3**b * 5**c for a in range(12) for b in range(8) for c in range(5))
    return min(product for product in products if product >= n)
