"""Registration of channels: how far the same bead is shifted from one channel to the next.

Frame: um, axes z, y, x, origin at the centre of the stacks' first voxel; x to the right, y down, z as acquired. A
shift is the place in the second channel minus that in the first. Rotation is counted from +x towards +y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.errors import InputError
from qc_routines.few import median_uncertainty
from qc_routines.psf.beads import Beads, find_and_fit
from qc_routines.psf.drive import DriveEffect, drive_effect
from qc_routines.psf.field import tile_medians
from qc_routines.psf.measure import checked_stack
from qc_routines.psf.selection import Rules
from qc_routines.registration.field_map import FieldMap, field_map
from qc_routines.registration.matching import matched
from qc_routines.results import Figure, Measurement, Scalar, input_of
from qc_routines.theory import FWHM_PER_SIGMA, axial_fwhm_um, lateral_fwhm_um, reference_distance_um

VERSION = "2"
NO_PARTNER = "no partner"
TOLERANCE_FWHM = 1.0
"""How far, in FWHM of the image of a bead, two beads may be off the common map of the field and still be one."""


def measure_registration(
    stacks: Mapping[str, NDArray[np.generic]],
    voxel: VoxelSize,
    optics: Mapping[str, Optics] | None = None,
    camera: Camera | None = None,
    bead_diameter_um: float | None = None,
    largest_shift_um: float = 5.0,
    rules: Rules | None = None,
    z_repeatability_um: float | None = None,
    heights_are_shared: bool = True,
) -> Measurement:
    """Return the shifts between every two channels of a field of multicolour beads.

    Parameters
    ----------
    stacks : mapping of str to ndarray, shape (z, y, x)
        Channel name to counts in ADU, all of one shape; dtypes as `qc_routines.psf.measure_psf`. They are not
        changed.
    voxel : VoxelSize
        Distance between voxels, the same in all channels.
    optics : mapping, optional
        Channel name to optics: for the scale of the search, and for the reference distance, which needs those of
        both channels.
    camera : Camera, optional
        As of `measure_psf`.
    bead_diameter_um : float, optional
        For the scale of the search only.
    largest_shift_um : float
        Beads farther apart than this are never the same.
    rules : Rules, optional
        What counts as a bead.
    z_repeatability_um : float, optional
        As of `measure_psf`, for the drive's part in the uncertainty of shifts along z.
    heights_are_shared : bool
        All channels were taken at each height before the drive moved on, as the protocol has it: then it missed the
        same for all, and only that they are in focus at different heights leaves a part of it. False: a stack each.

    Returns
    -------
    Measurement
        Figures of each pair carry ``[first-second]``. The table has one row for each matched bead of each pair.

    Raises
    ------
    InputError
        Fewer than two channels, unequal shapes, optics of a channel that is not there, or stacks that cannot be
        z stacks of beads.
    """
    pixels = _checked_stacks(stacks, voxel, optics)
    rules = rules or Rules()
    beads = {
        name: find_and_fit(stack, voxel, _expected_um(optics, name, bead_diameter_um), camera, rules)
        for name, stack in pixels.items()
    }
    shape = next(iter(pixels.values())).shape
    drives = {
        name: drive_effect(stack, beads[name], voxel, z_repeatability_um) for name, stack in pixels.items()
    }
    pairs = [
        replace(
            _Pair.of(first, second, beads, voxel, shape, optics, largest_shift_um),
            drive_um=_drive_um(drives[first], drives[second], heights_are_shared),
        )
        for first, second in combinations(pixels, 2)
    ]
    return Measurement(
        routine="registration",
        version=VERSION,
        figures=tuple(figure for pair in pairs for figure in pair.figures()),
        n_used=sum(len(pair.shift_zyx_um) for pair in pairs),
        n_rejected=_rejected(beads, pairs),
        parameters=_parameters(voxel, optics, camera, bead_diameter_um, largest_shift_um, rules)
        | {"z_repeatability_um": z_repeatability_um, "heights_are_shared": heights_are_shared},
        inputs=tuple(input_of(name, stack) for name, stack in pixels.items()),
        remarks=tuple(_remarks(beads, pairs, optics)),
        table=_table(pairs),
        maps={name: tiles for pair in pairs for name, tiles in pair.tiles().items()},
    )


def _checked_stacks(
    stacks: Mapping[str, NDArray[np.generic]], voxel: VoxelSize, optics: Mapping[str, Optics] | None
) -> dict[str, NDArray[np.generic]]:
    if not isinstance(stacks, Mapping) or len(stacks) < 2:
        given = sorted(stacks) if isinstance(stacks, Mapping) else type(stacks).__name__
        raise InputError(
            f"expected stacks of at least two channels by name; got {given}. Is a channel missing?"
        )
    if strangers := sorted(set(optics or {}) - set(stacks)):
        raise InputError(f"expected optics of the channels {sorted(stacks)}; got {', '.join(strangers)}")
    pixels = {name: checked_stack(stack, voxel, (optics or {}).get(name)) for name, stack in stacks.items()}
    shapes = {name: stack.shape for name, stack in pixels.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"expected all channels of one shape; got {shapes}")
    return pixels


def _expected_um(
    optics: Mapping[str, Optics] | None, name: str, diameter_um: float | None
) -> tuple[float, float, float] | None:
    """Return the FWHM of the image of a bead: of a point, broadened by the bead's own variance d^2/20."""
    if not optics or name not in optics:
        return None
    own_um2 = (FWHM_PER_SIGMA * (diameter_um or 0.0)) ** 2 / 20
    axial, lateral = axial_fwhm_um(optics[name]), lateral_fwhm_um(optics[name])
    across = float(np.sqrt(lateral**2 + own_um2))
    return float(np.sqrt(axial**2 + own_um2)), across, across


@dataclass(frozen=True, slots=True)
class _Pair:
    """Matched beads (n, 3) of two channels, um; places are those in the first."""

    name: str
    place_zyx_um: NDArray[np.float64]
    shift_zyx_um: NDArray[np.float64]
    error_zyx_um: NDArray[np.float64]
    reference_um: NDArray[np.float64]
    size_yx_um: tuple[float, float]
    pixel_yx_um: tuple[float, float]
    n_without_partner: int
    drive_um: float = 0.0
    """Standard uncertainty of the shift along z from what the drive does to all beads."""

    @classmethod
    def of(
        cls,
        first: str,
        second: str,
        beads: Mapping[str, Beads],
        voxel: VoxelSize,
        shape: tuple[int, ...],
        optics: Mapping[str, Optics] | None,
        largest_shift_um: float,
    ) -> _Pair:
        """Return the matched beads of two channels."""
        a, b = beads[first], beads[second]
        one, two = a.parameters_um[:, 2:5], b.parameters_um[:, 2:5]
        tolerance = TOLERANCE_FWHM * np.maximum(a.fwhm_zyx, b.fwhm_zyx) * voxel.zyx_um
        pairs = matched(one, two, tolerance, largest_shift_um)
        shift = two[pairs[:, 1]] - one[pairs[:, 0]]
        variance = _place_variance(a)[pairs[:, 0]] + _place_variance(b)[pairs[:, 1]]
        resolution = _resolution_um(optics, first, second)
        reference = [reference_distance_um(tuple(s), resolution) if resolution else np.nan for s in shift]
        return cls(
            name=f"{first}-{second}",
            place_zyx_um=one[pairs[:, 0]],
            shift_zyx_um=shift,
            error_zyx_um=np.sqrt(variance),
            reference_um=np.array(reference, np.float64),
            size_yx_um=(shape[1] * voxel.y_um, shape[2] * voxel.x_um),
            pixel_yx_um=(voxel.y_um, voxel.x_um),
            n_without_partner=len(one) + len(two) - 2 * len(pairs),
        )

    @property
    def distance_um(self) -> NDArray[np.float64]:
        """Distance in space of each bead (n,)."""
        return np.linalg.norm(self.shift_zyx_um, axis=1)

    def figures(self) -> list[Figure]:
        """Return the figures of this pair, in the order of the catalogue."""
        nm, errors_nm = 1000 * self.shift_zyx_um, 1000 * self.error_zyx_um
        ratio = self.distance_um / self.reference_um
        found = field_map(self.place_zyx_um[:, 1:] - self._centre_yx_um, self.shift_zyx_um)
        drive_nm = 1000 * self.drive_um
        medians = [
            self._median(f"shift_{axis}_median", nm[:, i], "nm", errors_nm[:, i], drive_nm * (axis == "z"))
            for i, axis in enumerate("zyx")
        ]
        axial, away = np.abs(nm[:, 0]), np.linalg.norm(nm, axis=1)
        return [
            *(self._at_centre(medians, found)),
            *medians,
            self._median(
                "distance", away, "nm", of_drive=drive_nm * _typical(axial / np.maximum(away, 1e-9))
            ),
            self._median("lateral_distance", np.hypot(nm[:, 1], nm[:, 2]), "nm"),
            self._median("axial_distance", axial, "nm", of_drive=drive_nm),
            self._median("distance_ratio", ratio, "1"),
            self._figure("distance_ratio_worst", np.max(ratio) if ratio.size else None, "1"),
            *self._map_figures(found),
        ]

    def _at_centre(self, medians: list[Figure], found: FieldMap | None) -> list[Figure]:
        """Return the shifts at the field's centre; of too few beads for a map their medians."""
        if found is None:
            names = [f"shift_{axis}" for axis in "zyx"]
            return [
                self._figure(n, m.value, "nm", m.uncertainty) for n, m in zip(names, medians, strict=True)
            ]
        return [
            self._figure(f"shift_{axis}", 1000 * value, "nm", 1000 * float(np.hypot(error, drive_um)))
            for axis, value, error, drive_um in zip(
                "zyx", found.shift_zyx_um, found.shift_error_zyx_um, (self.drive_um, 0.0, 0.0), strict=True
            )
        ]

    def _map_figures(self, found: FieldMap | None) -> list[Figure]:
        if found is None:
            units = {"magnification_difference": "%", "rotation": "deg", "axial_tilt": "deg"}
            units["field_residual"] = "nm"
            return [self._figure(name, None, unit) for name, unit in units.items()]
        percent, percent_error = 100 * (found.scale - 1), 100 * found.scale_error
        return [
            self._figure("magnification_difference", percent, "%", percent_error),
            self._figure("rotation", found.rotation_deg, "deg", found.rotation_error_deg),
            self._figure("axial_tilt", found.axial_tilt_deg, "deg"),
            self._figure("field_residual", 1000 * found.residual_um, "nm"),
        ]

    @property
    def _centre_yx_um(self) -> NDArray[np.float64]:
        return (np.array(self.size_yx_um) - self.pixel_yx_um) / 2

    def _figure(self, name: str, value: float | None, unit: str, error: float | None = None) -> Figure:
        return Figure(f"{name}[{self.name}]", value, unit, error, len(self.shift_zyx_um))

    def _median(
        self,
        name: str,
        values: NDArray[np.float64],
        unit: str,
        errors: NDArray[np.float64] | None = None,
        of_drive: float = 0.0,
    ) -> Figure:
        """Return the median; its error is from the spread, or from the fits where there are too few to spread."""
        if values.size == 0 or not np.isfinite(values).all():
            return self._figure(name, None, unit)
        error = median_uncertainty(values) if values.size > 2 else None
        if error is None and errors is not None:
            error = float(np.sqrt((errors**2).sum())) / errors.size
        joined = None if error is None else float(np.hypot(error, of_drive))
        return self._figure(name, float(np.median(values)), unit, joined)

    def tiles(self) -> dict[str, NDArray[np.float64]]:
        """Return the median shifts by tile of the field."""
        _, y, x = self.place_zyx_um.T
        return {
            f"tiles_shift_{axis}_nm[{self.name}]": tile_medians(
                y, x, 1000 * self.shift_zyx_um[:, i], self.size_yx_um
            )
            for i, axis in enumerate("zyx")
        }


def _drive_um(first: DriveEffect, second: DriveEffect, heights_are_shared: bool) -> float:
    """Return the drive's part in the uncertainty of the shift along z."""
    one, two = (drive.change_per_um.get("centroid_z_um", np.zeros(1)) for drive in (first, second))
    off_um = float(np.hypot(first.repeatability_um, second.repeatability_um)) / 2**0.5
    return off_um * float(
        np.linalg.norm(two - one) if heights_are_shared else np.hypot(*map(np.linalg.norm, (one, two)))
    )


def _typical(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else 0.0


def _place_variance(beads: Beads) -> NDArray[np.float64]:
    return np.einsum("nii->ni", beads.covariance_um)[:, 2:5]


def _resolution_um(
    optics: Mapping[str, Optics] | None, first: str, second: str
) -> tuple[float, float, float] | None:
    """Return the resolution z, y, x of the channel of longer wavelength; None unless both are known."""
    if not optics or first not in optics or second not in optics:
        return None
    both = (optics[first], optics[second])
    longer = max(both, key=lambda o: o.emission_nm or o.excitation_nm or 0.0)
    return axial_fwhm_um(longer), lateral_fwhm_um(longer), lateral_fwhm_um(longer)


# ---- what a reader must know


def _table(pairs: list[_Pair]) -> dict[str, NDArray[np.generic]]:
    names = [pair.name for pair in pairs for _ in range(len(pair.shift_zyx_um))]
    table: dict[str, NDArray[np.generic]] = {"pair": np.array(names, dtype=str)}
    for i, axis in enumerate("zyx"):
        table[f"centroid_{axis}_um"] = np.concatenate([pair.place_zyx_um[:, i] for pair in pairs])
        table[f"shift_{axis}_nm"] = np.concatenate([1000 * pair.shift_zyx_um[:, i] for pair in pairs])
        table[f"shift_{axis}_error_nm"] = np.concatenate([1000 * pair.error_zyx_um[:, i] for pair in pairs])
    table["distance_nm"] = np.concatenate([1000 * pair.distance_um for pair in pairs])
    table["reference_distance_nm"] = np.concatenate([1000 * pair.reference_um for pair in pairs])
    return table


def _rejected(beads: Mapping[str, Beads], pairs: list[_Pair]) -> dict[str, int]:
    counts = {
        f"{name}: {reason}": n for name, found in beads.items() for reason, n in found.n_rejected.items()
    }
    return counts | {
        f"{pair.name}: {NO_PARTNER}": pair.n_without_partner for pair in pairs if pair.n_without_partner
    }


def _parameters(
    voxel: VoxelSize,
    optics: Mapping[str, Optics] | None,
    camera: Camera | None,
    diameter_um: float | None,
    largest_shift_um: float,
    rules: Rules,
) -> dict[str, Scalar]:
    described = {f"voxel_{name}": value for name, value in asdict(voxel).items()}
    for channel, item in (optics or {}).items():
        described |= {f"optics_{key}[{channel}]": value for key, value in asdict(item).items()}
    if camera is not None:
        described |= {f"camera_{key}": value for key, value in asdict(camera).items()}
    described |= {f"rules_{key}": value for key, value in asdict(rules).items()}
    return described | {"bead_diameter_um": diameter_um, "largest_shift_um": largest_shift_um}


def _remarks(
    beads: Mapping[str, Beads], pairs: list[_Pair], optics: Mapping[str, Optics] | None
) -> list[str]:
    remarks = []
    for name, found in beads.items():
        if not found.is_bead.any():
            why = ", ".join(f"{n} {reason}" for reason, n in found.n_rejected.items()) or "nothing visible"
            remarks.append(f"No beads in channel {name} ({why}).")
    for pair in pairs:
        if len(pair.shift_zyx_um) == 0:
            remarks.append(f"No bead of {pair.name} is in both channels.")
        elif np.isnan(pair.reference_um).any():
            remarks.append(f"Optics of {pair.name} unknown: no reference distance and no ratio.")
    return remarks
