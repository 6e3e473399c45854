"""What an image was taken with: voxels, optics and camera, as far as anybody knows.

Unknown is None and is never replaced by a guess without a remark in the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from qc_routines.errors import InputError


class Mode(StrEnum):
    """How the light is excited and collected."""

    WIDEFIELD = "widefield"
    CONFOCAL = "confocal"
    SPINNING_DISK = "spinning disk"
    MULTIPHOTON = "multiphoton"


@dataclass(frozen=True, slots=True)
class VoxelSize:
    """Distance between voxel centres along z, y and x, um."""

    z_um: float
    y_um: float
    x_um: float

    def __post_init__(self) -> None:
        _positive("voxel size", "um", z=self.z_um, y=self.y_um, x=self.x_um)

    @property
    def zyx_um(self) -> tuple[float, float, float]:
        """All three in the order of the array's axes."""
        return self.z_um, self.y_um, self.x_um


@dataclass(frozen=True, slots=True)
class Optics:
    """Objective and wavelengths.

    Attributes
    ----------
    mode : Mode
        Decides the formula and which wavelength it needs.
    numerical_aperture : float
        Of the objective.
    immersion_index : float
        Refractive index of the immersion medium: 1.0 air, 1.333 water, 1.518 oil.
    emission_nm, excitation_nm : float or None
        Wavelengths; None when unknown.
    """

    mode: Mode
    numerical_aperture: float
    immersion_index: float
    emission_nm: float | None = None
    excitation_nm: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", Mode(self.mode))
        _positive("optics", "", aperture=self.numerical_aperture, index=self.immersion_index)
        if self.numerical_aperture >= self.immersion_index:
            raise InputError(
                f"expected a numerical aperture below the immersion index; got NA {self.numerical_aperture:g} in "
                f"n {self.immersion_index:g}. Check the immersion medium."
            )
        for name in ("emission_nm", "excitation_nm"):
            if (wavelength_nm := getattr(self, name)) is not None:
                _positive(name, "nm", wavelength=wavelength_nm)


@dataclass(frozen=True, slots=True)
class Camera:
    """Noise of a camera: a count of c ADU is (c - offset) x conversion electrons.

    Attributes
    ----------
    offset_adu : float
        Mean count in the dark.
    conversion_e_per_adu : float
        Electrons per count (the inverse of the EMVA 1288 gain K).
    read_noise_e : float
        Standard deviation in the dark, electrons.
    full_scale_adu : float or None
        Largest count possible; None takes it from the array's unsigned integer type.
    """

    offset_adu: float
    conversion_e_per_adu: float
    read_noise_e: float
    full_scale_adu: float | None = None

    def __post_init__(self) -> None:
        _positive("camera", "", conversion=self.conversion_e_per_adu)
        if not (isfinite(self.offset_adu) and isfinite(self.read_noise_e) and self.read_noise_e >= 0):
            raise InputError(f"expected a finite offset and a read noise of at least 0 e-; got {self}")


def _positive(what: str, unit: str, **numbers: float) -> None:
    for name, number in numbers.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not isfinite(number) or number <= 0:
            raise InputError(
                f"expected a positive {what} ({name}) {unit}".rstrip()
                + f"; got {number!r}. Take it from the instrument's calibration."
            )
