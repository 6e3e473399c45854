"""What a facility is to be named by: its instruments' profiles, as the newest records tell them."""

from __future__ import annotations

from agent.exports.bundle import profile_of_nameplate
from agent.exports.methods import acknowledgement_of_instrument
from agent.records import (
    InstrumentDescription,
    InstrumentProfile,
    Profile,
    Record,
    RecordError,
    decode_tolerant,
)
from server.store.base import Reads
from server.store.rows import Instrument, LatestRecord


def profile_of(reads: Reads, instrument: Instrument) -> Profile:
    """Return what is stated of an instrument; of one whose agent states nothing, its name and model alone."""
    latest = reads.latest(instrument.instrument_id)
    stated, described = _read(latest.get("instrument_profile")), _read(latest.get("instrument"))
    if isinstance(stated, InstrumentProfile):
        profile = stated.profile
    elif isinstance(described, InstrumentDescription):
        profile = profile_of_nameplate(described.nameplate)
    else:
        profile = Profile()
    if profile.instrument.name:
        return profile
    named = profile.instrument.model_copy(update={"name": instrument.name})
    return profile.model_copy(update={"instrument": named})


def acknowledgement(reads: Reads, instrument: Instrument, language: str) -> str:
    """Return the sentence to put into a paper; what nobody stated stands as ``[MISSING: …]``."""
    return acknowledgement_of_instrument(profile_of(reads, instrument), language)


def _read(latest: LatestRecord | None) -> Record | None:
    try:
        return decode_tolerant(latest.raw) if latest else None
    except RecordError:  # written under rules that this collector does not know
        return None
