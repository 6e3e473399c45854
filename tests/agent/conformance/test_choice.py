"""What is set and what is left alone."""

from __future__ import annotations

import pytest

from agent.conformance.choice import (
    Permission,
    is_objective_turret,
    values_to_try,
    why_device_left_alone,
    why_left_alone,
)
from agent.conformance.findings import PropertyFacts


def facts(name="Gain", value_type="float", lower=0.0, upper=8.0, allowed=(), **declared) -> PropertyFacts:
    stated = {"is_read_only": False, "is_pre_init": False} | declared
    return PropertyFacts("D", "GenericDevice", name, value_type, **stated, lower_limit=lower, upper_limit=upper, allowed_values=allowed)  # fmt: skip


def device(label, kind="StateDevice", description="", labels=()):
    return {
        "label": label,
        "device_type": kind,
        "adapter_name": "",
        "description": description,
        "state_labels": labels,
    }


@pytest.mark.parametrize(
    ("label", "description", "labels", "is_turret"),
    [
        ("Nosepiece", "", (), True),
        ("Turret", "", (), True),
        ("Wheel", "", ("Plan Apo 60x",), True),
        ("FilterTurret", "", ("DAPI", "FITC"), False),
        ("Cube", "Simulated filter turret", ("DAPI",), False),
        ("Emission", "", ("447/60", "525/50"), False),
    ],
)
def test_objective_turret_is_known(label, description, labels, is_turret):
    assert is_objective_turret(device(label, description=description, labels=labels)) is is_turret


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (facts(is_read_only=True), "read-only"),
        (facts(is_pre_init=True), "before initialisation"),
        (facts("SimulateCrash"), "harm"),
        (facts("Laser power"), "--light"),
        (facts("Position"), "--move"),
        (facts(lower=None, upper=None), "neither limits nor allowed"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_property_is_left_alone(one, says):
    assert says in (why_left_alone(one, Permission()) or "")


def test_permission_opens_what_may_move_or_give_light():
    may = Permission(may_move=True, may_light=True)
    assert why_left_alone(facts("Laser power"), may) is None
    assert why_left_alone(facts("Position"), may) is None
    assert why_left_alone(facts("Reset"), may) is not None
    assert why_device_left_alone(device("Nosepiece"), may) is None
    assert why_device_left_alone(device("Shutter", "ShutterDevice"), may) is None
    assert why_device_left_alone(device("Core", "CoreDevice"), may) is not None


@pytest.mark.parametrize(
    ("one", "before", "values"),
    [
        (facts(), "3", ("0", "8")),
        (facts(), "0.0000", ("8",)),
        (facts(lower=-0.5, upper=0.25), "0", ("-0.5", "0.25")),
        (facts(lower=0, upper=65535.0, value_type="integer"), "1", ("0", "65535")),
        (facts(lower=5.0, upper=1.0), "2", ()),
        (facts(allowed=("A", "B", "C", "D")), "A", ("B", "D")),
        (facts(allowed=("A",)), "A", ()),
    ],
)
def test_values_are_those_the_device_allows(one, before, values):
    assert values_to_try(one, before) == values
