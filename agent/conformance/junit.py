"""The report as JUnit XML, which continuous integration shows: one test a property, one suite a device."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from agent.conformance.findings import Finding, Report, Severity
from agent.conformance.sections import printable


def junit(report: Report) -> bytes:
    """Return the report as JUnit XML; errors are failures, warnings and notes the output of their test."""
    root = ET.Element("testsuites", name="scopestamp conformance", time=f"{report.duration_s:.1f}")
    suites = _by_device(report)
    for device, tests in suites.items():
        suite = ET.SubElement(root, "testsuite", name=printable(device), timestamp=report.started_at[:19])
        for name in tests:
            found = [item for item in report.findings if (item.device, item.property) == (device, name)]
            _test(suite, device, name, found)
        _count(suite)
    _count(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _by_device(report: Report) -> dict[str, dict[str, None]]:
    suites: dict[str, dict[str, None]] = {}
    keys = [(read.facts.device, read.facts.name) for read in report.reads]
    keys += [(move.device, "@position") for move in report.moves]
    keys += [("Core", f"@preset {preset.group}/{preset.preset}") for preset in report.presets]
    keys += [(finding.device, finding.property) for finding in report.findings]
    for device, name in keys:
        suites.setdefault(device, {})[name] = None
    return suites


def _test(suite: ET.Element, device: str, name: str, found: list[Finding]) -> None:
    test = ET.SubElement(suite, "testcase", classname=printable(device), name=printable(name) or "device")
    errors = [item for item in found if item.severity is Severity.ERROR]
    if errors:
        text = "\n".join(printable(f"{item.check}: {item.text}") for item in errors)
        failure = ET.SubElement(test, "failure", type=errors[0].check, message=printable(errors[0].text))
        failure.text = text
    others = [
        printable(f"{item.severity}: {item.check}: {item.text}") for item in found if item not in errors
    ]
    if others:
        ET.SubElement(test, "system-out").text = "\n".join(others)


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    element.set("failures", str(len(list(element.iter("failure")))))
    element.set("errors", "0")
