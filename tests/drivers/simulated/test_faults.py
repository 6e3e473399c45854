"""A fault changes what it should and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from drivers.simulated import FAULTS, Truth
from drivers.simulated.faults import with_faults

ROOM_OF_FAULT = {
    "objective damaged": "pupil",
    "correction collar off": "pupil",
    "wrong immersion": "pupil",
    "chromatic shift": "channels",
    "misaligned illumination": "illumination",
    "lamp aged": "light",
    "lamp unstable": "light",
    "Cy5 line fading": "channels",
    "backlash grown": "stage",
    "stage worn": "stage",
    "focus drifts": "drift",
    "weak reflection": "stage",
    "focus drive off": "stage",
    "camera defect": "sensor",
    "camera gain off": "sensor",
    "sensor window dusty": "sensor",
    "light leak": "sensor",
    "tube lens displaced": "objectives",
    "camera warm": "sensor",
    "slide tilted": "geometry",
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_changes_one_part_of_the_truth(name: str) -> None:
    healthy, faulty = Truth(seed=3), with_faults(Truth(seed=3), [name])
    changed = [f.name for f in fields(Truth) if getattr(healthy, f.name) != getattr(faulty, f.name)]
    assert changed == [ROOM_OF_FAULT[name]]
    assert FAULTS[name].description


def test_order_does_not_matter_and_unknown_names_are_refused() -> None:
    names = list(FAULTS)
    assert with_faults(Truth(), names) == with_faults(Truth(), reversed(names))
    with pytest.raises(ValueError, match="objective damaged"):
        with_faults(Truth(), ["gremlins"])


def test_repaired_microscope_is_as_before(make_microscope) -> None:
    never, repaired = make_microscope(), make_microscope()
    for name in FAULTS:
        repaired.set_fault(name, True)
    for name in FAULTS:
        repaired.set_fault(name, False)
    assert repaired.truth == never.truth
    assert np.array_equal(repaired.expose(), never.expose())


def test_unknown_fault_leaves_the_microscope_alone(make_microscope) -> None:
    microscope = make_microscope()
    with pytest.raises(ValueError, match="no fault"):
        microscope.set_fault("gremlins", True)
    assert microscope.faults == frozenset()


@pytest.mark.parametrize(
    ("name", "is_seen"),
    [
        ("lamp aged", True),
        ("misaligned illumination", True),
        ("camera defect", True),
        ("backlash grown", False),
        ("focus drifts", False),
        ("objective damaged", False),
    ],
)
def test_uniform_slide_shows_what_concerns_it(make_microscope, name: str, is_seen: bool) -> None:
    microscope, reference = make_microscope(), make_microscope()
    for each in (microscope, reference):
        each.slide = "uniform"
    microscope.set_fault(name, True)
    assert np.array_equal(microscope.expose(), reference.expose()) != is_seen


def test_damaged_objective_widens_the_bead_and_loses_no_light(make_microscope) -> None:
    def image(faults):
        microscope = make_microscope((240, 260), seed=2)
        for fault in faults:
            microscope.set_fault(fault, True)
        microscope.lock_focus(True)
        return microscope.expected_e()

    healthy, damaged = image([]), image(["objective damaged"])
    assert damaged.max() < 0.5 * healthy.max()
    assert damaged.sum() == pytest.approx(healthy.sum(), rel=0.02)


def test_misaligned_illumination_moves_the_brightest_place(make_microscope) -> None:
    microscope = make_microscope((200, 300))
    microscope.slide = "uniform"
    microscope.set_fault("misaligned illumination", True)
    microscope.healthy_truth = replace(
        microscope.healthy_truth, illumination=replace(microscope.healthy_truth.illumination, vignetting=0.0)
    )
    row, column = np.unravel_index(microscope.expected_e().argmax(), (200, 300))
    assert (row, column) == pytest.approx((99.5 - 0.55 * 100, 149.5 + 0.70 * 150), abs=1)


def test_drift_goes_on_from_where_it_is(make_microscope) -> None:
    microscope = make_microscope()
    microscope.clock.sleep(3600)
    microscope.set_fault("focus drifts", True)
    assert microscope.drift_zyx_um() == pytest.approx((0, 0, 0), abs=1e-12), "it never jumps"
    microscope.clock.sleep(120)
    assert microscope.drift_zyx_um() == pytest.approx((0.3, 0, 0), abs=1e-9)
    microscope.set_fault("focus drifts", False)
    microscope.clock.sleep(600)
    assert microscope.drift_zyx_um() == pytest.approx((0.3, 0, 0), abs=1e-9)
