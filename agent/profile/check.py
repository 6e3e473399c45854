"""What a profile lacks, by standard and tier, and who can supply it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.exports.completeness import missing_of_microscope
from agent.exports.facts import to_unit
from agent.profile.join import misfits
from agent.records import InstrumentDescription, Profile


@dataclass(frozen=True)
class Finding:
    """One thing to see to.

    Attributes
    ----------
    level : str
        error: it is wrong; missing: a standard asks for it; guess: to be confirmed.
    standard : str
        Who asks for it, with the tier: 'NBO Tier 1', 'PIDINST' …; 'profile' for what is wrong.
    place : str
        Part and key.
    text : str
        In words.
    who : str
        Who can supply it.
    """

    level: str
    standard: str
    place: str
    text: str
    who: str


def check_profile(
    profile: Profile, instrument: InstrumentDescription | None = None, tier: int = 1
) -> list[Finding]:
    """Return what is to be seen to, the gravest first; `instrument` also tells what joins to no device."""
    found = [
        Finding("error", "profile", place, reason, "facility")
        for place, reason in (misfits(profile, instrument) if instrument else [])
    ]
    found += _references(profile)
    found += _units(profile)
    found += _pidinst(profile)
    found += [
        Finding("missing", f"NBO Tier {item.tier}", item.place, f"{item.nbo} is asked for", item.who)
        for item in missing_of_microscope(profile, "instrument", tier)
    ]
    return found + _guesses(profile)


def _references(profile: Profile) -> list[Finding]:
    filters = {item.name for item in profile.filters}
    lights = {item.name for item in profile.light_sources}
    found = []
    for cube in profile.filter_cubes:
        for key in ("excitation", "dichroic", "emission"):
            name = getattr(cube, key)
            if name and name not in filters:
                text = f"expected the name of a filter, came '{name}'"
                found.append(
                    Finding("error", "profile", f"filter_cubes '{cube.name}' {key}", text, "facility")
                )
    for channel in profile.channels:
        if channel.light_source and channel.light_source not in lights:
            text = f"expected the name of a light source, came '{channel.light_source}'"
            place = f"channels '{channel.preset}' light_source"
            found.append(Finding("error", "profile", place, text, "facility"))
    return found


def _units(profile: Profile) -> list[Finding]:
    """Return properties whose unit no export can convert; what they tell would be left out."""
    refs = [
        (f"environment '{part.name}' {key}", getattr(part, key), wanted)
        for part in profile.environment
        for key, wanted in (("temperature", "Cel"), ("co2", "%"), ("humidity", "%"), ("o2", "%"))
    ]
    found = [
        Finding("error", "profile", place, f"expected a unit such as {wanted}, came '{ref.unit}'", "facility")
        for place, ref, wanted in refs
        if ref is not None and to_unit(0.0, ref.unit, wanted) is None
    ]
    for light in profile.light_sources:
        ref = light.intensity
        if ref is not None and ref.unit not in ("%", "mW") and not light.intensity_maximum:
            text = f"expected the unit % or mW, or intensity_maximum; came '{ref.unit or 'no unit'}'"
            found.append(
                Finding("error", "profile", f"light_sources '{light.name}' intensity", text, "facility")
            )
    return found


def _pidinst(profile: Profile) -> list[Finding]:
    """Return what PIDINST 1.0 makes mandatory and the profile does not state."""
    plate = profile.instrument
    wanted = {
        "pid": plate.pid,
        "landing_page": plate.landing_page,
        "name": plate.name,
        "owners": plate.owners,
        "manufacturers": plate.manufacturers,
    }
    return [
        Finding("missing", "PIDINST", f"instrument {key}", f"{key} is mandatory", "facility")
        for key, value in wanted.items()
        if not value
    ]


def _guesses(profile: Profile) -> list[Finding]:
    parts = [(section, part) for section, group in profile.sections() for part in group]
    parts += [("stand", profile.stand)] if profile.stand else []
    return [
        Finding(
            "guess",
            "profile",
            f"{section} '{part.name}' {key}",
            f"guessed {getattr(part, key, None)!r}",
            "facility",
        )
        for section, part in parts
        for key in part.derived
    ]
