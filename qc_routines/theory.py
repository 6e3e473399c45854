"""Expected values, each with its formula and where the formula is from.

Symbols: n immersion index, NA numerical aperture, a = asin(NA/n) half angle, lem and lex emission and excitation
wavelength, lex of multiphoton the laser's. FWHM = 2 sqrt(2 ln 2) sigma throughout. z is the optical axis.

Sources are named by short keys, spelled out in `SOURCES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, log, sqrt

from qc_routines.conditions import Mode, Optics
from qc_routines.errors import InputError

FWHM_PER_SIGMA = 2 * sqrt(2 * log(2))

SOURCES = {
    "metroloj_qc": "MetroloJ_QC 1.3.1.1, theoreticalResolutionCalculator.java; Faklaris et al. 2022, "
    "doi:10.1083/jcb.202107093",
    "zipfel": "Zipfel, Williams & Webb 2003, doi:10.1038/nbt899, Fig. 2, as used by MetroloJ_QC",
    "inoue": "Inoue & Spring, Video Microscopy, 2nd ed. (1997): wave plus geometric depth of field (from memory)",
    "iso_21073": "ISO 21073:2019, as used by MetroloJ_QC (not read by us)",
    "own": "derived in the docstring",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure's value from theory.

    Attributes
    ----------
    figure : str
        Name of the figure it is expected of.
    value : float
        In `unit`.
    unit : str
        Same as the figure's.
    formula_id : str
        Name of the formula; the function of that meaning is in this module.
    source : str
        Where the formula is from.
    """

    figure: str
    value: float
    unit: str
    formula_id: str
    source: str


def lateral_fwhm_um(optics: Optics) -> float:
    """Return the lateral FWHM of a point, um.

    Widefield and spinning disk 0.51 lem/NA; confocal 0.51 lex/NA; multiphoton 0.377 lex/NA up to NA 0.7 and
    0.383 lex/NA^0.91 above. Source: MetroloJ_QC; multiphoton Zipfel 2003.
    """
    aperture = optics.numerical_aperture
    if optics.mode is Mode.MULTIPHOTON:
        factor, power = (0.377, 1.0) if aperture <= 0.7 else (0.383, 0.91)
        return factor * _excitation_um(optics) / aperture**power
    return 0.51 * _resolving_um(optics) / aperture


def axial_fwhm_um(optics: Optics) -> float:
    """Return the axial FWHM of a point, um.

    Widefield 1.77 n lem/NA^2; confocal 0.88 lex/(n - sqrt(n^2 - NA^2)); spinning disk lem/(n - sqrt(n^2 - NA^2));
    multiphoton 0.626 lex/(n - sqrt(n^2 - NA^2)). Source: MetroloJ_QC; multiphoton Zipfel 2003.
    """
    n, aperture = optics.immersion_index, optics.numerical_aperture
    if optics.mode is Mode.WIDEFIELD:
        return 1.77 * n * _emission_um(optics) / aperture**2
    factor = {Mode.CONFOCAL: 0.88, Mode.SPINNING_DISK: 1.0, Mode.MULTIPHOTON: 0.626}[optics.mode]
    return factor * _resolving_um(optics) / (n - sqrt(n**2 - aperture**2))


def nyquist_lateral_um(optics: Optics) -> float:
    """Return the coarsest pixel that still samples everything, um.

    lem/(4 NA) for widefield and spinning disk, lex/(8 NA) for confocal and multiphoton. Source: MetroloJ_QC.
    """
    return _resolving_um(optics) / (_samples_per_cutoff(optics) * optics.numerical_aperture)


def nyquist_axial_um(optics: Optics) -> float:
    """Return the coarsest z step that still samples everything, um.

    lem/(2 n (1 - cos a)) for widefield and spinning disk, lex/(4 n (1 - cos a)) for confocal and multiphoton.
    Source: MetroloJ_QC.
    """
    angle = asin(optics.numerical_aperture / optics.immersion_index)
    width = optics.immersion_index * (1 - cos(angle)) * _samples_per_cutoff(optics) / 2
    return _resolving_um(optics) / width


def depth_of_field_um(optics: Optics, pixel_um: float) -> float:
    """Return the depth of field, um: lem n/NA^2 + n e/NA with e the pixel size in the sample. Source: Inoue."""
    n, aperture = optics.immersion_index, optics.numerical_aperture
    return _emission_um(optics) * n / aperture**2 + n * pixel_um / aperture


def reference_distance_um(
    shift_zyx_um: tuple[float, float, float], resolution_zyx_um: tuple[float, float, float]
) -> float:
    """Return how far two points may be apart along a shift's direction and still not be resolved, um.

    The distance from the centre to the resolution ellipsoid along the unit vector u of the shift:
    1 / sqrt((uz/Rz)^2 + (uy/Ry)^2 + (ux/Rx)^2), with R of the longer wavelength. Equal to the expression with angles
    in MetroloJ_QC 1.3 (coAlignement.java). For no shift at all there is no direction: the smallest of R.

    Examples
    --------
    >>> reference_distance_um((0, 0, 5), (0.8, 0.3, 0.2)), reference_distance_um((0, 0, 0), (0.8, 0.3, 0.2))
    (0.2, 0.2)
    """
    distance_um = sqrt(sum(component**2 for component in shift_zyx_um))
    if distance_um == 0:
        return min(resolution_zyx_um)
    pairs = zip(shift_zyx_um, resolution_zyx_um, strict=True)
    return distance_um / sqrt(sum((shift / width) ** 2 for shift, width in pairs))


def bead_corrected_fwhm_um(fwhm_um: float, bead_diameter_um: float) -> float:
    """Return the FWHM of the PSF behind the image of a filled sphere, um; NaN when the sphere explains it all.

    sqrt(F^2 - (8 ln 2 / 20) d^2): a filled sphere of diameter d has variance d^2/20 along each axis, and variances
    of convolved functions add. Own; by quadrature for a Gaussian PSF within 0.04 % at d = 0.4 F, 1.6 % at d = F.
    """
    remains_um2 = fwhm_um**2 - (FWHM_PER_SIGMA * bead_diameter_um) ** 2 / 20
    return sqrt(remains_um2) if remains_um2 > 0 else float("nan")


def pixel_corrected_fwhm_um(fwhm_um: float, pixel_um: float) -> float:
    """Return the FWHM before integration over square pixels, um; NaN when the pixel explains it all.

    sqrt(F^2 - (8 ln 2 / 12) p^2): a box of width p has variance p^2/12. Own.
    """
    remains_um2 = fwhm_um**2 - (FWHM_PER_SIGMA * pixel_um) ** 2 / 12
    return sqrt(remains_um2) if remains_um2 > 0 else float("nan")


def expected_fwhm(optics: Optics) -> tuple[Expected, ...]:
    """Return what a point's FWHM along z, y and x is expected to be."""
    kind = optics.mode.value.replace(" ", "_")
    source = SOURCES["zipfel" if optics.mode is Mode.MULTIPHOTON else "metroloj_qc"]
    lateral_um, axial_um = lateral_fwhm_um(optics), axial_fwhm_um(optics)
    return (
        Expected("fwhm_z", axial_um, "um", f"{kind}_axial_fwhm", source),
        Expected("fwhm_y", lateral_um, "um", f"{kind}_lateral_fwhm", source),
        Expected("fwhm_x", lateral_um, "um", f"{kind}_lateral_fwhm", source),
    )


def _samples_per_cutoff(optics: Optics) -> int:
    return 8 if optics.mode in (Mode.CONFOCAL, Mode.MULTIPHOTON) else 4


def _resolving_um(optics: Optics) -> float:
    """Return the wavelength that limits the resolution of this mode, um."""
    is_by_emission = optics.mode in (Mode.WIDEFIELD, Mode.SPINNING_DISK)
    return _emission_um(optics) if is_by_emission else _excitation_um(optics)


def _emission_um(optics: Optics) -> float:
    return _known_um(optics.emission_nm, "an emission", optics)


def _excitation_um(optics: Optics) -> float:
    return _known_um(optics.excitation_nm, "an excitation", optics)


def _known_um(wavelength_nm: float | None, which: str, optics: Optics) -> float:
    if wavelength_nm is None:
        raise InputError(f"expected {which} wavelength for {optics.mode}; got none. State it in the optics.")
    return wavelength_nm / 1000
