"""Every fault of a faulty device is named; none costs more than the process it happened in."""

from __future__ import annotations

import pytest

from agent.conformance.choice import values_to_try
from agent.conformance.findings import PropertyFacts

BAD = 'Bad <b>&"one"'
FAULTS = [
    ("error", "read", BAD, "Raising", "the getter raised: no answer from COM3"),
    ("warning", "speed", BAD, "Slow", "ms; more than 20 ms"),
    ("error", "read", BAD, "Hanging", "the getter hangs: no answer within 3 s"),
    ("error", "type", BAD, "Wrong type", "declared integer, but its value is 'many'"),
    ("error", "limits", BAD, "Out of limits", "its value 500 is outside its limits 0 to 10"),
    ("error", "allowed values", BAD, "Not allowed", "its value 'C' is none of those it allows: 'A', 'B'"),
    ("error", "round trip", BAD, "Forgetful", "set to '2', reads back '1'"),
    ("error", "round trip", BAD, "Refusing", "refuses 'On', a value that it says it allows: not while"),
    ("warning", "notification", BAD, "Silent", "changed without a notification within 30 ms"),
    (
        "error",
        "round trip",
        "Fatalist",
        "Fatal",
        "setting 'On' ends the process: the process ended with exit code",
    ),
    ("note", "standard", BAD, "", "offers no property for: serial number, firmware"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[3] or fault[1])
def test_fault_is_named(faulty, fault):
    severity, check, device, name, text = fault
    found = [
        item
        for item in faulty.findings
        if (item.severity, item.check, item.device, item.property) == (severity, check, device, name)
    ]
    assert any(text in item.text for item in found), faulty.findings


def test_no_other_error_is_found(faulty):
    errors = {
        (item.check, item.device, item.property) for item in faulty.findings if item.severity == "error"
    }
    assert errors == {
        (check, device, name) for severity, check, device, name, _ in FAULTS if severity == "error"
    }


def test_announced_change_is_timed(faulty):
    told = [
        trial.notified_ms
        for trial in faulty.trials
        if trial.facts.name == "Announced" and not trial.is_restore
    ]
    assert len(told) == 2
    assert all(late_ms is not None and 0 <= late_ms < 1000 for late_ms in told)
    assert not [item for item in faulty.findings if item.property == "Announced"]


def test_what_comes_after_a_crash_is_still_tried_and_restored(faulty):
    tried = [trial for trial in faulty.trials if trial.facts.name == "After"]
    assert [(trial.value, trial.read_back) for trial in tried] == [("On", "On"), ("Off", "Off")]
    assert tried[-1].is_restore


def test_property_that_hangs_is_not_touched_again(faulty):
    assert [read.facts.name for read in faulty.reads].count("Hanging") == 1
    assert not [trial for trial in faulty.trials if trial.facts.name == "Hanging"]


def test_limits_the_wrong_way_round_are_not_tried():
    facts = PropertyFacts("D", "GenericDevice", "P", "float", False, False, 5.0, 1.0, ())
    assert values_to_try(facts, "2") == ()


def test_hardware_that_does_not_load_again_ends_the_run_with_a_report(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCE_ONLY_MARKER", str(tmp_path / "marker"))
    path = tmp_path / "once.cfg"
    path.write_text(
        "Property,Core,Initialize,0\n#py pyDevice,Once,faulty_devices,OnceOnly\nProperty,Core,Initialize,1\n"
    )
    report = run(str(path))
    loads = [item for item in report.findings if item.check == "load"]
    assert len(loads) == 1
    assert "switch it off and on again" in loads[0].text
    assert len(report.reads) == 2
