"""The expected image: photo-electrons per millisecond and per mW of light, without any noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.camera import Region
from drivers.simulated.field import View
from drivers.simulated.layer import sectioning
from drivers.simulated.psf import PsfStack, psf_stack
from drivers.simulated.rendering import line_profile, place_objects
from drivers.simulated.slides import OF_OBJECTS, Slide, lines_in, objects_in
from drivers.simulated.truth import Truth

Image = NDArray[np.float32]


def expected_image(view: View, slide: Slide, region: Region) -> Image:
    """Return what `region` of the sensor receives, in electrons per ms for 1 mW leaving the light path.

    Notes
    -----
    Line pairs are drawn along the sensor's columns: neither the camera's rotation nor distortion along y shows in them.
    The layer has no thickness and is drawn without blur, which a uniform layer does not show unless it is sectioned.
    """
    rows = np.arange(region.y, region.y + region.height, dtype=np.float64)[:, None]
    columns = np.arange(region.x, region.x + region.width, dtype=np.float64)[None, :]
    image = np.zeros((region.height, region.width), np.float32)
    if slide.channels is not None and view.channel not in slide.channels:
        return image
    efficiency = electrons_per_photon_mw(view.truth, view.objective, view.channel)
    if slide.layer_photons:
        per_pixel = slide.layer_photons * view.pixel_size_um**2 * efficiency
        layer = np.float32(per_pixel) * _separable_flat_field(view, rows, columns)
        if slide.is_sectioned:
            layer *= sectioning(view, rows, columns)
        image += layer
    if slide.arrangement in OF_OBJECTS:
        _add_objects(image, view, slide, region, efficiency)
    if slide.arrangement == "pairs":
        _add_lines(image, view, slide, region, efficiency)
    return image


def electrons_per_photon_mw(truth: Truth, objective: str, channel: str) -> float:
    """Return electrons per photon emitted per mW/mm^2, for 1 mW leaving the light path, at the brightest place."""
    optics, filters = truth.objective(objective), truth.channel(channel)
    irradiance = optics.transmission / truth.lit_area_mm2(objective)
    seen = truth.collected_fraction(objective) * optics.transmission * filters.filter_transmission
    return irradiance * seen * truth.sensor.quantum_efficiency


def stack_for(view: View, slide: Slide) -> PsfStack:
    """Return the image of one of the slide's objects in this view."""
    objective, channel = view.truth.objective(view.objective), view.truth.channel(view.channel)
    return psf_stack(objective, view.truth.pupil, channel.emission_nm, view.pixel_size_um, slide.shape)


def _separable_flat_field(view: View, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Image:
    """Return the flat field; the Gaussian factor of a row times that of a column spares an exponential per pixel."""
    y0, x0 = view.centre_px
    along_y, along_x = view.illumination(rows, x0), view.illumination(y0, columns)
    product = (along_y / view.illumination(y0, x0)).astype(np.float32) * along_x.astype(np.float32)
    lost_y, lost_x = 1 - view.transmission(rows, x0), 1 - view.transmission(y0, columns)
    return product * (np.float32(1) - lost_y.astype(np.float32) - lost_x.astype(np.float32))


def _add_objects(image: Image, view: View, slide: Slide, region: Region, efficiency: float) -> None:
    stack = stack_for(view, slide)
    objects = objects_in(slide, view.truth.seed, *view.seen_yx_um(float(stack.radii_px.max())))
    if not len(objects.yx_um):
        return
    rows, columns = view.to_pixels(objects.yx_um).T
    lit = view.flat_field(rows, columns) * objects.brightness
    place_objects(
        image,
        stack,
        rows - region.y,
        columns - region.x,
        view.defocus_um(objects.yx_um) - objects.height_um,
        slide.object_photons * efficiency * lit,
    )


def _add_lines(image: Image, view: View, slide: Slide, region: Region, efficiency: float) -> None:
    stack = stack_for(view, slide)
    low, high = view.seen_yx_um(float(stack.radii_px.max()))
    x_um, _ = lines_in(low[1], high[1])
    y_um = np.full_like(x_um, view.stage_zyx_um[1])
    columns = view.to_pixels(np.stack([y_um, x_um], axis=1))[:, 1] - region.x
    rates = np.full(len(x_um), slide.object_photons * efficiency * view.pixel_size_um)
    middle = np.array([view.stage_zyx_um[1:]])
    profile = line_profile(region.width, stack, columns, float(view.defocus_um(middle)[0]), rates)
    rows = np.arange(region.y, region.y + region.height, dtype=np.float64)[:, None]
    all_columns = np.arange(region.x, region.x + region.width, dtype=np.float64)[None, :]
    image += profile * _separable_flat_field(view, rows, all_columns)
