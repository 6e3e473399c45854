"""Versions: of the agent, Python, the system, Micro-Manager's core with its device interface."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from agent.doctor.finding import Finding, Level, Place

_NEWEST_TRIED = (3, 13)


def versions(place: Place) -> Iterator[Finding]:
    """Tell what is installed; loads none of it."""
    yield _told("scopestamp", version("scopestamp"))
    yield _told("Python", platform.python_version())
    yield _told("system", platform.platform())
    if place.settings.hardware.driver == "simulated":
        return
    core = _installed("pymmcore")
    if core is None:
        yield Finding(
            "versions",
            "MMCore",
            Level.PROBLEM,
            "pymmcore is not installed",
            "Install scopestamp anew, with its packages.",
        )
        return
    interface = device_interface(core)
    yield Finding(
        "versions",
        "MMCore",
        Level.GOOD,
        f"pymmcore {core}"
        + (f", device interface {interface}: adapters must be built for it" if interface else ""),
        facts={"pymmcore": core, "device_interface": interface, "pymmcore_plus": _installed("pymmcore-plus")},
    )
    if adapters := _installed("mm-test-adapters"):
        yield _told("demo adapters", adapters)


def device_interface(pymmcore: str) -> int | None:
    """Return the device interface of a pymmcore version, its fourth number (pymmcore's README, "Versioning").

    >>> device_interface("11.2.1.71.0")
    71
    """
    parts = pymmcore.split(".")
    return int(parts[3]) if len(parts) >= 4 and parts[3].isdigit() else None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _told(name: str, text: str) -> Finding:
    return Finding("versions", name, Level.GOOD, text, facts={"version": text})
