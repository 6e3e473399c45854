"""What nobody but whoever asks for a run can state: asked for before a person is sent to put a slide in.

No hardware is needed here. What it may tell (the aperture, the pixel size) is asked for when it is loaded; see `prepare`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.errors import SettingsError
from agent.quality.assess import limits
from agent.quality.facts import Facts
from agent.quality.given import needed_wavelength
from agent.quality.options import known_to
from agent.quality.plans import protocol_of
from agent.quality.request import Request
from qc_routines.conditions import Mode, Optics
from qc_routines.errors import InputError
from qc_routines.levels import LEVELS
from qc_routines.protocols import Protocol
from qc_routines.routine import Routine

NEEDED = {
    "grid": ("pitch_um",),
    "dark_current": ("conversion_e_per_adu",),
    "axial_steps": ("stair_um", "pitch_um"),
    "point_detector": ("settings", "gain"),
}
"""Facts without which a routine cannot be acquired or measured, and that no hardware tells."""
OPTICS_MEASURED = ("line_pairs", "thin_layer")
"""Routines that want optics for what they measure, not for what is acquired."""


def check_request(request: Request) -> Protocol:
    """Return the protocol of a run that lacks nothing which only an option can state.

    Raises
    ------
    MissingFactError
        A fact is not stated; the message names the option.
    SettingsError
        What is stated cannot be acquired, or a file that is named is not there.
    """
    protocol = check_stated(request.routine, request.options, request.channels)
    limits(request.own_limits)
    reference = request.options.get("reference_image")
    if reference is not None and not Path(str(reference)).exists():
        raise SettingsError(f"--reference {reference}: there is no such file.")
    return protocol


def check_stated(routine: Routine, options: Mapping[str, Any], channels: Sequence[str] = ()) -> Protocol:
    """Return the protocol of a routine with these options; raises as `check_request` does."""
    if unknown := sorted(options.keys() - known_to(routine)):
        raise SettingsError(
            f"{routine.name} knows no {unknown[0]}; it knows {', '.join(sorted(known_to(routine)))}."
        )
    facts = Facts(options)
    for name in NEEDED.get(routine.name, ()):
        facts.need(name)
    if needs_optics(routine) or routine.name in OPTICS_MEASURED:
        for number in range(max(len(channels), 1)):
            needed_wavelength(facts, number)
    protocol = protocol_of(routine, options, channels, _any_optics(options))
    need_levels(routine, protocol, options)
    return protocol


def needs_optics(routine: Routine) -> bool:
    """Return whether the protocol of a routine hangs on the optics."""
    return "optics" in inspect.signature(routine.protocol).parameters


def _any_optics(options: Mapping[str, Any]) -> Optics:
    """Return optics to work a protocol out with while the objective is not known: oil immersion, unless stated."""
    aperture, index = options.get("numerical_aperture"), options.get("immersion_index")
    index = index or max(1.518, 1.05 * (aperture or 0.0))
    try:
        return Optics(Mode.WIDEFIELD, aperture or 0.92 * index, index, 520.0)
    except InputError as error:
        raise SettingsError(f"--na and --immersion do not go together: {error}.") from error


def need_levels(routine: Routine, protocol: Protocol, options: Mapping[str, Any]) -> None:
    """Raise SettingsError for a curve whose levels are too few for one to be measured; not where its end is stated."""
    wanted, n = LEVELS.get(routine.name), protocol.parameters.get("n_levels")
    if wanted is None or wanted.least_levels is None or wanted.argument in options or not isinstance(n, int):
        return
    if n < wanted.least_levels:
        raise SettingsError(
            f"n_levels={n} are too few: the levels go in equal steps to beyond saturation, and enough of them are below it "
            f"from n_levels={wanted.least_levels} on. Leave n_levels out, or state a longest exposure below saturation with "
            "--set longest_exposure_ms=…, which measures no full well."
        )
