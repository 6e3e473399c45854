"""Light of one point through a high-aperture objective with aberrations.

Symbols: NA aperture, n index of the immersion, rho = n sin(theta) the pupil radius in units of NA, lambda wavelength.
The pupil's field of a freely rotating dipole is the incoherent mean over three dipole axes; of the six field components
five differ (Backer and Moerner, J. Phys. Chem. B 118, 8313 (2014), section 2, doi:10.1021/jp501778z), with the
aplanatic factor 1/sqrt(cos theta) of emission. Aberration by cover glass and immersion follows Gibson and Lanni, J. Opt.
Soc. Am. A 9, 154 (1992), eq. 1, doi:10.1364/JOSAA.9.000154, for an object directly below the cover glass, and Zernike
modes in Noll's normalisation are added (Noll, J. Opt. Soc. Am. 66, 207 (1976), table I, doi:10.1364/JOSA.66.000207).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, pi

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.truth import Objective, Pupil

COVERSLIP_INDEX = 1.5255
"""Cover glass at the e line, ISO 8255-1."""
FEWEST_SAMPLES = 160
"""Across the pupil: its round edge costs a relative error of about 1 / n."""
COMPONENT_WEIGHTS = (1 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3)
"""Exx, Exy = Eyx, Eyy, Exz, Eyz, averaged over three dipole axes."""


@dataclass(frozen=True)
class PupilField:
    """The field in the pupil, sampled on a square grid."""

    components: NDArray[np.complex64]
    """Shape (5, n, n), axes (component, y, x), without defocus."""
    axial_rad_per_um: NDArray[np.float64]
    """Phase gained per um of defocus, shape (n, n)."""
    rho: NDArray[np.floating]
    """Grid coordinate along either axis, shape (n,)."""
    wavelength_um: float
    energy: float
    """Integral of the intensity over an infinite image plane, by Parseval's theorem."""
    is_round: bool = False
    """Whether the aberrations are the same in every direction; the image then is its own mirror image."""
    is_perfect: bool = False
    """Whether there are no aberrations; the image then is the same above and below focus."""


def pupil_field(objective: Objective, pupil: Pupil, emission_nm: float, reach_um: float) -> PupilField:
    """Return the pupil of `objective`, sampled finely enough for images that reach `reach_um` from the centre."""
    index = actual_index(objective, pupil)
    aperture = min(objective.numerical_aperture, 0.999 * index)
    wavelength_um = emission_nm / 1000
    n = max(2 * ceil(2 * aperture * reach_um / wavelength_um) + 24, FEWEST_SAMPLES)
    rho = (np.arange(n) - (n - 1) / 2) * (2 * aperture / (n - 4))
    y, x = np.meshgrid(rho, rho, indexing="ij")
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    edge = np.clip((aperture - radius) / (rho[1] - rho[0]) + 0.5, 0, 1)  # part of each sample inside
    inside = np.minimum(radius, aperture)
    axial = np.sqrt(index**2 - inside**2)
    phase = 2 * pi / wavelength_um * _aberration_um(objective, pupil, inside, angle, aperture, edge)
    amplitude = edge * np.exp(1j * phase) / np.sqrt(axial / index)
    parts = np.stack(_dipole_parts(inside / index, angle))
    # A sample that lies half inside holds half the energy, though its mean field squared is a quarter.
    power = np.tensordot(COMPONENT_WEIGHTS, parts**2, axes=1) * edge / (axial / index)
    energy = float(power.sum()) * wavelength_um**2 * (rho[1] - rho[0]) ** 2
    components = (amplitude * parts).astype(np.complex64)
    is_round = not (pupil.astigmatism_nm or pupil.coma_nm or pupil.trefoil_nm)
    return PupilField(
        components, 2 * pi / wavelength_um * axial, rho, wavelength_um, energy, is_round, not phase.any()
    )


def actual_index(objective: Objective, pupil: Pupil) -> float:
    """Return the index of what is between front lens and cover glass; air stays air."""
    is_immersed = objective.immersion_index > 1.1
    return objective.immersion_index + (pupil.immersion_index_error if is_immersed else 0.0)


def _dipole_parts(sine: NDArray[np.float64], angle: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the five transverse components of the rotated dipole fields."""
    cosine = np.sqrt(1 - sine**2)
    cos, sin = np.cos(angle), np.sin(angle)
    return [
        cosine * cos**2 + sin**2,
        (cosine - 1) * sin * cos,
        cosine * sin**2 + cos**2,
        -sine * cos,
        -sine * sin,
    ]


def _aberration_um(
    objective: Objective,
    pupil: Pupil,
    rho: NDArray[np.float64],
    angle: NDArray[np.float64],
    aperture: float,
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the optical path error without piston and defocus: whoever looks through a microscope focuses it."""
    index = actual_index(objective, pupil)
    immersion_um = objective.working_distance_um
    path = immersion_um * (_root(index, rho) - _root(objective.immersion_index, rho))
    path += pupil.coverslip_error_um * _root(COVERSLIP_INDEX, rho)
    axial = _root(index, rho)
    basis = np.stack([np.ones_like(axial), axial]).reshape(2, -1) * np.sqrt(weight).ravel()
    fitted, *_ = np.linalg.lstsq(basis.T, path.ravel() * np.sqrt(weight).ravel(), rcond=None)
    return path - fitted[0] - fitted[1] * axial + _zernike_um(pupil, rho / aperture, angle)


def _root(index: float, rho: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(index**2 - rho**2, 0))


def _zernike_um(pupil: Pupil, r: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    astigmatism = np.sqrt(6) * r**2 * np.cos(2 * (angle - np.radians(pupil.astigmatism_angle_deg)))
    coma = np.sqrt(8) * (3 * r**3 - 2 * r) * np.cos(angle - np.radians(pupil.coma_angle_deg))
    spherical = np.sqrt(5) * (6 * r**4 - 6 * r**2 + 1)
    trefoil = np.sqrt(8) * r**3 * np.cos(3 * angle)
    nm = (
        pupil.astigmatism_nm * astigmatism
        + pupil.coma_nm * coma
        + pupil.spherical_nm * spherical
        + pupil.trefoil_nm * trefoil
    )
    return nm / 1000


def intensity(field: PupilField, defocus_um: float, offsets_um: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the intensity on a square grid in one plane, per um^2 of the slide and for unit collected energy.

    Parameters
    ----------
    field : PupilField
        From `pupil_field`.
    defocus_um : float
        How much higher the stage stands than in focus.
    offsets_um : ndarray, shape (m,)
        Grid coordinate along either axis, in the slide.

    Returns
    -------
    ndarray, shape (m, m), float32, axes (y, x)
        The matrix form of the Fourier integral: exact on any grid, no padding (Soummer et al., Opt. Express 15,
        15935 (2007), eq. 6, doi:10.1364/OE.15.015935). Of a round pupil one quadrant is worked out, and of its
        components those that are not another's mirror image about the diagonal.
    """
    step = field.rho[1] - field.rho[0]
    scale = np.float32(step**4 / field.energy)
    if not (field.is_round and np.array_equal(offsets_um, -offsets_um[::-1])):
        powers = _powers(field, defocus_um, offsets_um, range(5))
        return scale * sum(np.float32(w) * power for w, power in zip(COMPONENT_WEIGHTS, powers, strict=True))
    xx, xy, xz = _powers(field, defocus_um, offsets_um[len(offsets_um) // 2 :], (0, 1, 3))
    both = xx + xz
    quadrant = scale * ((both + both.T) / np.float32(3) + np.float32(2 / 3) * xy)
    return np.pad(quadrant, (len(offsets_um) // 2, 0), mode="reflect")


def _powers(
    field: PupilField, defocus_um: float, offsets_um: NDArray[np.float64], which: Iterable[int]
) -> list[NDArray[np.float32]]:
    """Return the intensities that components of the pupil make."""
    kernel = np.exp(-2j * pi / field.wavelength_um * np.outer(offsets_um, field.rho)).astype(np.complex64)
    defocus = np.exp(1j * defocus_um * field.axial_rad_per_um).astype(np.complex64)
    amplitudes = (kernel @ (field.components[i] * defocus) @ kernel.T for i in which)
    return [amplitude.real**2 + amplitude.imag**2 for amplitude in amplitudes]
