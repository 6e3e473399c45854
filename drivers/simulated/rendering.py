"""Place precomputed images of objects between pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.simulated._jit import kernel
from drivers.simulated.psf import PsfStack

Places = NDArray[np.float64]


def place_objects(
    image: NDArray[np.float32],
    stack: PsfStack,
    rows: Places,
    columns: Places,
    defocus_um: Places,
    rates: Places,
) -> None:
    """Add objects to `image`, in place.

    Parameters
    ----------
    image : ndarray, float32, axes (y, x)
        Expected electrons per ms; pixel centres at whole numbers.
    stack : PsfStack
        Image of one object.
    rows, columns : ndarray, float64, shape (n,)
        Where the objects are, in pixels of `image`; may lie outside it.
    defocus_um, rates : ndarray, float64, shape (n,)
        How far out of focus, and how bright, in units of `image` summed over all pixels.

    Notes
    -----
    Beyond the stack's last plane the image keeps its shape and fades with the square of the defocus, as the middle of
    a widening disc does.
    """
    _place(
        image,
        stack.coefficients,
        stack.radii_px,
        stack.first_defocus_um,
        stack.defocus_step_um,
        stack.oversampling,
        stack.centre,
        rows,
        columns,
        defocus_um,
        rates,
    )


def line_profile(
    n_columns: int, stack: PsfStack, columns: Places, defocus_um: float, rates: Places
) -> NDArray[np.float32]:
    """Return one row through endless lines along y; `rates` per pixel length of line."""
    profile = np.zeros((1, n_columns), np.float32)
    planes = stack.line_coefficients
    # As objects of which only the central row is seen: its 4 spline samples all hold the line.
    coefficients = np.repeat(planes[:, None, :], 4, axis=1)
    _place(
        profile,
        np.ascontiguousarray(coefficients),
        stack.radii_px,
        stack.first_defocus_um,
        stack.defocus_step_um,
        stack.oversampling,
        stack.centre,
        np.zeros(len(columns)),
        columns,
        np.full(len(columns), defocus_um),
        rates,
    )
    return profile[0]


@kernel
def _spline_weights(t):
    u = 1.0 - t
    return (
        u * u * u / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
        t * t * t / 6.0,
    )


@kernel
def _place(
    image, coefficients, radii, first_um, step_um, oversampling, centre, rows, columns, defocus_um, rates
):  # fmt: skip
    n_planes, n_fine_y, n_fine_x = coefficients.shape
    height, width = image.shape
    fine_row = np.zeros(n_fine_x + 4, np.float32)
    for i in range(len(rows)):
        plane = (defocus_um[i] - first_um) / step_um
        inside = min(max(plane, 1.0), n_planes - 2.001)
        fade = 1.0
        if inside != plane:
            fade = ((inside * step_um + first_um) / defocus_um[i]) ** 2
        z = int(inside)
        weights_z = _spline_weights(inside - z)
        radius = max(radii[z], radii[z + 1])
        y_first = max(0, int(np.ceil(rows[i] - radius)))
        y_last = min(height - 1, int(np.floor(rows[i] + radius)))
        x_first = max(0, int(np.ceil(columns[i] - radius)))
        x_last = min(width - 1, int(np.floor(columns[i] + radius)))
        if y_first > y_last or x_first > x_last:
            continue
        fine_x = centre + (x_first - columns[i]) * oversampling
        x0 = int(np.floor(fine_x))
        wx = _spline_weights(fine_x - x0)
        length = (x_last - x_first) * oversampling + 4
        for y in range(y_first, y_last + 1):
            fine_y = centre + (y - rows[i]) * oversampling
            y0 = int(np.floor(fine_y))
            wy = _spline_weights(fine_y - y0)
            fine_row[:length] = 0.0
            for a in range(4):
                for b in range(4):
                    weight = np.float32(weights_z[a] * wy[b] * rates[i] * fade)
                    y_fine = min(max(y0 - 1 + b, 0), n_fine_y - 1)
                    source = coefficients[z - 1 + a, y_fine, x0 - 1 : x0 - 1 + length]
                    for k in range(len(source)):
                        fine_row[k] += weight * source[k]
            for x in range(x_first, x_last + 1):
                k = (x - x_first) * oversampling
                image[y, x] += (
                    wx[0] * fine_row[k]
                    + wx[1] * fine_row[k + 1]
                    + wx[2] * fine_row[k + 2]
                    + wx[3] * fine_row[k + 3]
                )
