"""Images measured in plain ways, against the truth they were drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated.camera import Region
from drivers.simulated.faults import with_faults
from drivers.simulated.field import View
from drivers.simulated.scene import electrons_per_photon_mw, expected_image, stack_for
from drivers.simulated.slides import SLIDES, objects_in
from drivers.simulated.truth import Geometry, Illumination, Sensor, Truth

SENSOR = Sensor(height_px=420, width_px=640)
WHOLE = Region(0, 0, 420, 640)
EVEN = Illumination((0.0, 0.0), 1e6, 0.0)
LEVEL = Geometry(0.0, (0.0, 0.0))
TRUTH = Truth(seed=8, sensor=SENSOR, illumination=EVEN, geometry=LEVEL)
BARE = {label: replace(slide, layer_photons=0.0) for label, slide in SLIDES.items()}


def view(truth=TRUTH, objective="60x/1.40 oil", channel="FITC", zyx_um=(0.0, 12.0, -31.0)) -> View:
    return View(truth, objective, channel, zyx_um)


def centroids(image, near_px, half=6):
    """Return intensity-weighted centres in windows around `near_px`, twice, the second time centred on the first."""
    found = near_px.copy()
    for _ in range(3):
        for i, (row, column) in enumerate(np.round(found).astype(int)):
            window = image[row - half : row + half + 1, column - half : column + half + 1]
            y, x = np.mgrid[row - half : row + half + 1, column - half : column + half + 1]
            found[i] = (y * window).sum() / window.sum(), (x * window).sum() / window.sum()
    return found


def well_inside(places_px, margin=16):
    return np.all((places_px > margin) & (places_px < np.array([420, 640]) - margin), axis=1)


def beads_of(seen, slide="beads 0.2 um"):
    return objects_in(SLIDES[slide], seen.truth.seed, *seen.seen_yx_um(50)).yx_um


def best_focus(seen):
    """Return the view at the focus of the middle of the slide it sees."""
    z_um = float(seen.focus_um(np.array([seen.stage_zyx_um[1:]]))[0])
    return replace(seen, stage_zyx_um=(z_um, *seen.stage_zyx_um[1:]))


def test_beads_appear_at_their_places() -> None:
    seen = best_focus(view())
    image = expected_image(seen, BARE["beads 0.2 um"], WHOLE)
    places_px = seen.to_pixels(beads_of(seen))
    places_px = places_px[well_inside(places_px)]
    assert len(places_px) > 10
    assert centroids(image, places_px) == pytest.approx(places_px, abs=0.04), "neighbours pull a little"
    # the same by hand: no rotation, no shift, distortion below a hundredth of a pixel here
    near = beads_of(seen) - np.array([12.0, -31.0])
    by_hand = np.array([209.5, 319.5]) + near[np.hypot(*near.T) < 8] / (6.5 / 60)
    assert np.min(np.hypot(*(by_hand[:, None] - places_px[None]).transpose(2, 0, 1)), axis=1).max() < 0.03


def test_stage_moves_the_image_by_its_displacement_over_the_pixel_size() -> None:
    first, second = best_focus(view()), best_focus(view(zyx_um=(0.0, 12.0 + 1.3, -31.0 - 2.6)))
    bead = beads_of(first)[np.argmin(np.hypot(*(beads_of(first) - (12.0, -31.0)).T))][None]
    moved = [
        centroids(expected_image(v, BARE["beads 0.2 um"], WHOLE), v.to_pixels(bead))[0]
        for v in (first, second)
    ]
    assert moved[1] - moved[0] == pytest.approx(np.array([-1.3, 2.6]) / (6.5 / 60), abs=0.05)


def test_chromatic_shift_is_what_the_channels_say() -> None:
    seen = {channel: best_focus(view(channel=channel)) for channel in ("FITC", "DAPI", "Cy5")}
    middle = seen["FITC"].to_pixels(beads_of(seen["FITC"]))
    bead = beads_of(seen["FITC"])[np.argmin(np.hypot(*(middle - (209.5, 319.5)).T))][None]
    found = {
        channel: centroids(expected_image(v, BARE["beads 0.2 um"], WHOLE), v.to_pixels(bead))[0]
        * v.pixel_size_um
        for channel, v in seen.items()
    }
    for channel in ("DAPI", "Cy5"):
        expected_um = TRUTH.channel(channel).lateral_shift_yx_um
        assert found[channel] - found["FITC"] == pytest.approx(expected_um, abs=0.006)


@pytest.mark.parametrize("channel", ["DAPI", "Cy5"])
def test_colours_are_magnified_differently(channel: str) -> None:
    corners_um = np.array([[-100.0, -150.0], [120.0, 160.0]])
    spans_px = [
        np.diff(view(channel=c, zyx_um=(0, 0, 0)).to_pixels(corners_um), axis=0) for c in ("FITC", channel)
    ]
    assert spans_px[1] / spans_px[0] - 1 == pytest.approx(
        TRUTH.channel(channel).magnification_error, rel=1e-6
    )


def test_stage_above_focus_is_positive_defocus() -> None:
    truth = with_faults(TRUTH, ["wrong immersion"])
    images = []
    for above_um in (0.9, -0.9):
        seen = best_focus(view(truth))
        seen = replace(seen, stage_zyx_um=(seen.stage_zyx_um[0] + above_um, *seen.stage_zyx_um[1:]))
        images.append(expected_image(seen, BARE["beads 0.2 um"], WHOLE))
    sharper_above = stack_for(seen, BARE["beads 0.2 um"])
    planes = (
        sharper_above.first_defocus_um
        + np.arange(len(sharper_above.radii_px)) * sharper_above.defocus_step_um
    )
    peaks = sharper_above.coefficients.max(axis=(1, 2))
    assert abs(planes[peaks.argmax()]) > 0.3, "the spoiled image is not the same on both sides"
    assert (images[0].max() > images[1].max()) == (planes[peaks.argmax()] > 0)


@pytest.mark.parametrize("channel", ["DAPI", "TRITC"])
def test_axial_chromatic_shift_moves_the_sharpest_plane(channel: str) -> None:
    focus_um = []
    for colour in ("FITC", channel):
        z_um = np.arange(-0.6, 0.61, 0.05)
        peaks = [
            expected_image(
                view(channel=colour, zyx_um=(z, 0, 0)), BARE["beads 0.2 um"], Region(100, 100, 200, 220)
            ).max()
            for z in z_um
        ]
        best = int(np.argmax(peaks))
        a, b, _ = np.polyfit(z_um[best - 2 : best + 3], peaks[best - 2 : best + 3], 2)
        focus_um.append(-b / (2 * a))
    assert focus_um[1] - focus_um[0] == pytest.approx(TRUTH.channel(channel).axial_shift_um, abs=0.02)


def test_distortion_is_found_in_the_grid() -> None:
    optics = replace(TRUTH.objective("20x/0.75"), distortion=0.03, field_curvature_um=0.0)
    truth = replace(TRUTH, objectives=(optics,))
    seen = best_focus(view(truth, "20x/0.75", zyx_um=(0.0, 3.0, -4.0)))
    image = expected_image(seen, BARE["dot grid"], WHOLE)
    dots_um = beads_of(seen, "dot grid")
    ideal_um = dots_um - np.array(seen.stage_zyx_um[1:]) - np.array(optics.parcentric_yx_um)
    start_px = seen.to_pixels(dots_um)
    kept = well_inside(start_px)
    measured_um = (centroids(image, start_px[kept], 5) - seen.centre_px) * seen.pixel_size_um
    radius_um = np.hypot(*ideal_um[kept].T)
    stretch = np.sum(measured_um * ideal_um[kept], axis=1) / radius_um**2 - 1
    slope = np.sum(stretch * radius_um**4) / np.sum(
        radius_um**6
    )  # weighted for noise that falls with the radius
    assert slope * optics.field_radius_um**2 == pytest.approx(0.03, rel=0.03)


def test_camera_rotation_is_found_in_the_grid() -> None:
    truth = replace(TRUTH, geometry=Geometry(1.7, (0.0, 0.0)))
    seen = best_focus(view(truth, "20x/0.75"))
    dots_px = seen.to_pixels(np.array([[42.0, 29.0], [42.0, -31.0], [12.0, -31.0]]))
    along_x, along_y = dots_px[0] - dots_px[1], dots_px[1] - dots_px[2]
    assert np.degrees(np.arctan2(along_x[0], along_x[1])) == pytest.approx(1.7, abs=0.02)
    assert np.degrees(np.arctan2(-along_y[1], along_y[0])) == pytest.approx(1.7, abs=0.02)


def test_flat_field_has_its_peak_and_its_corners() -> None:
    profile = Illumination((-0.3, 0.4), 0.9, 0.2)
    seen = view(replace(TRUTH, illumination=profile))
    image = expected_image(seen, SLIDES["uniform"], WHOLE).astype(np.float64)
    rows, columns = np.mgrid[0:420, 0:640].astype(float)
    assert image / image.max() == pytest.approx(
        seen.flat_field(rows, columns) / seen.flat_field(rows, columns).max(), rel=1e-4
    )
    without_loss = image / seen.transmission(rows, columns)
    peak = np.unravel_index(without_loss.argmax(), image.shape)
    assert peak == pytest.approx((209.5 - 0.3 * 210, 319.5 + 0.4 * 320), abs=1)
    assert seen.transmission(np.array(-0.5), np.array(639.5)) == pytest.approx(0.8)
    width_px = 0.9 * np.hypot(210, 320)
    one_width = peak[1] - int(width_px), peak[1]
    assert without_loss[peak[0], one_width[0]] / without_loss[peak] == pytest.approx(np.exp(-0.5), rel=0.01)


def test_bead_light_is_collected_as_the_aperture_says() -> None:
    totals = {}
    for label in ("20x/0.75", "60x/1.40 oil"):
        seen = best_focus(view(objective=label))
        bead = beads_of(seen)[np.argmin(np.hypot(*(beads_of(seen) - (12.0, -31.0)).T))]
        near = seen.to_pixels(bead[None])[0].round().astype(int)
        region = Region(near[0] - 12, near[1] - 12, 25, 25)
        totals[label] = expected_image(seen, BARE["beads 0.2 um"], region).sum()
    expected = [electrons_per_photon_mw(TRUTH, label, "FITC") for label in totals]
    assert totals["60x/1.40 oil"] / totals["20x/0.75"] == pytest.approx(expected[1] / expected[0], rel=0.04)


@pytest.mark.parametrize(
    ("objective", "power", "transmission", "cone"),
    [
        ("20x/0.75", 20, 0.88, 1 - np.sqrt(1 - 0.75**2)),
        ("100x/1.45 oil", 100, 0.80, 1 - np.sqrt(1 - (1.45 / 1.515) ** 2)),
    ],
)
def test_uniform_slide_is_as_bright_as_reckoned_by_hand(objective, power, transmission, cone) -> None:
    lit_mm2 = np.pi * (11.0 / power) ** 2
    photons_per_ms = 1100.0 * (6.5 / power) ** 2 * transmission / lit_mm2
    by_hand = photons_per_ms * cone / 2 * transmission * 0.80 * 0.8
    truth = replace(TRUTH, illumination=Illumination((0.0, 0.0), 1e6, 0.0))
    image = expected_image(view(truth, objective), SLIDES["uniform"], Region(3, 5, 7, 11))
    assert image == pytest.approx(by_hand, rel=1e-5)


def test_beads_differ_in_brightness() -> None:
    slide = replace(BARE["beads 0.2 um"], brightness_spread=0.3)
    seen = best_focus(view())
    beads = objects_in(slide, TRUTH.seed, *seen.seen_yx_um(50))
    places_px = seen.to_pixels(beads.yx_um)
    kept = well_inside(places_px)
    image = expected_image(seen, slide, WHOLE)
    sums = [image[r - 8 : r + 9, c - 8 : c + 9].sum() for r, c in np.round(places_px[kept]).astype(int)]
    assert np.array(sums) / np.mean(sums) == pytest.approx(
        beads.brightness[kept] / beads.brightness[kept].mean(), rel=0.05
    )


def test_tilted_slide_is_in_focus_along_its_plane() -> None:
    truth = with_faults(TRUTH, ["slide tilted"])
    tilt_y, tilt_x = truth.geometry.slide_tilt_yx
    seen = view(truth, zyx_um=(0.0, 0.0, 0.0))
    points = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, -30.0]])
    curvature = (
        truth.objective("60x/1.40 oil").field_curvature_um
        / truth.objective("60x/1.40 oil").field_radius_um ** 2
    )
    expected = [0.0, 20 * tilt_y + 400 * curvature, -30 * tilt_x + 900 * curvature]
    assert seen.focus_um(points) == pytest.approx(expected, abs=1e-9)


def test_slide_without_a_dye_is_dark_in_that_channel() -> None:
    assert not expected_image(view(channel="Cy5"), SLIDES["beads 0.1 um"], WHOLE).any()
    assert expected_image(view(), SLIDES["beads 0.1 um"], WHOLE).any()


def test_line_pairs_are_resolved_when_wide_and_not_when_narrow() -> None:
    seen = best_focus(view(zyx_um=(0.0, 0.0, 32.0)))
    row = expected_image(seen, BARE["line pairs"], WHOLE)[200].astype(np.float64)

    def dip(distance_um):
        pair = round((distance_um - 0.10) / 0.05)
        middle, half = (pair + 0.5) * 8.0, distance_um / 2
        places = seen.to_pixels(np.array([[0.0, middle - half], [0.0, middle], [0.0, middle + half]]))[:, 1]
        left, centre, right = np.interp(places, np.arange(640), row)
        return 1 - 2 * centre / (left + right)

    assert dip(0.15) < 0.02
    assert dip(0.40) > 0.4
