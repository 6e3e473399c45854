"""A Methods paragraph and an acknowledgement, in seven languages.

Every slot is filled or says ``[MISSING: field]``. Beside the text stands a table of which value came from where, so
that what was measured and what a person typed stay two things. Staff are named with their consent only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any

from agent.exports.errors import ExportError
from agent.exports.facts import Fact, Facts, channel_facts, facts_in, facts_of, modality_of, stated, text_of
from agent.exports.mapping import load_mapping
from agent.exports.quality import qc_of_light_paths, qc_that_held
from agent.exports.view import AcquisitionView, ChannelView
from agent.records import Filter, Profile, QcFigure, QcStatus

LANGUAGES = ("en", "de", "fr", "es", "pt", "ja", "zh")
Messages = Mapping[str, Mapping[str, str]]

_SLOTS = {
    "geometry": "stand.geometry",
    "stand_maker": "stand.manufacturer",
    "stand_model": "stand.model",
    "modality": "channel.modality",
    "magnification": "objective.magnification",
    "na": "objective.na",
    "correction": "objective.correction",
    "immersion": "objective.immersion",
    "objective_maker": "objective.manufacturer",
    "software": "software.name",
    "software_version": "software.version",
    "developer": "software.developer",
    "size_x": "image.size_x",
    "size_y": "image.size_y",
    "size_z": "image.size_z",
    "size_t": "image.size_t",
    "size_p": "image.size_p",
    "pixel_size": "image.pixel_size_um",
    "z_step": "image.z_step_um",
    "time_interval": "image.time_interval_s",
    "channel": "channel.name",
    "fluorophore": "channel.fluorophore",
    "light_maker": "light_source.manufacturer",
    "light_model": "light_source.model",
    "light_type": "light_source.source_type",
    "power": "channel.power_setting",
    "camera_maker": "camera.manufacturer",
    "camera_model": "camera.model",
    "camera_type": "camera.detector_type",
    "exposure": "channel.exposure_ms",
    "binning": "camera_settings.binning",
    "gain": "camera_settings.gain",
    "temperature": "environment.temperature_c",
    "co2": "environment.co2_percent",
    "humidity": "environment.humidity_percent",
    "incubator": "incubator.name",
    "focus_lock": "focus_lock.name",
    "mechanism": "focus_lock.mechanism",
    "facility": "facility.name",
    "organisation": "organisation.name",
    "rrid": "facility.rrid",
    "ror": "organisation.ror",
    "instrument": "instrument.name",
}
_TRANSLATED = {
    "geometry": "geometry",
    "modality": "modality",
    "immersion": "immersion",
    "camera_type": "detector_type",
    "light_type": "source_type",
    "mechanism": "mechanism",
}


@cache
def messages(language: str) -> Messages:
    """Return the message catalogue of a language.

    Raises
    ------
    ExportError
        There is none.
    """
    if language not in LANGUAGES:
        raise ExportError(f"expected a language out of {', '.join(LANGUAGES)}, came '{language}'.")
    path = files("agent.exports") / "messages" / f"{language}.toml"
    found: Messages = tomllib.loads(path.read_text("utf-8"))
    return found


def methods_paragraph(view: AcquisitionView, language: str = "en") -> str:
    """Return the Methods paragraph of an acquisition."""
    words = messages(language)
    return words["heading"]["sentence_gap"].join(_sentences(view, words))


def _sentences(view: AcquisitionView, words: Messages) -> Iterable[str]:
    facts = facts_of(view)
    first = facts_in(view, view.channels[0])
    pid = view.bundle.profile.instrument.pid
    yield _filled("setup", words, first, pid=f" ({pid})" if pid else "")
    yield _filled("field", words, facts)
    for axis, sentence in (("z", "z_stack"), ("t", "time_lapse"), ("p", "positions")):
        if view.size(axis) > 1:
            yield _filled(sentence, words, facts)
    for channel in view.channels:
        yield _channel(view, channel, facts_in(view, channel), words)
    if view.bundle.profile.environment:
        yield _filled("temperature", words, facts)
    yield from (_filled(name, words, facts) for name in ("co2", "humidity") if _SLOTS[name] in facts)
    if view.bundle.profile.focus_locks:
        yield _filled("focus", words, facts)
    yield from _qc(view, words)
    for text in view.contradictions:
        yield _filled("contradiction", words, facts, text=text)


def _channel(view: AcquisitionView, channel: ChannelView, facts: Facts, words: Messages) -> str:
    modality = modality_of(view, channel)
    contrast = load_mapping().term("modality", modality, "contrast") if modality else "fluorescence"
    if contrast != "fluorescence":
        return _filled("transmitted", words, facts)
    filters = {key: _filter(getattr(channel, key), key) for key in ("excitation", "dichroic", "emission")}
    return _filled("channel", words, facts, **filters)


def _filter(part: Filter | None, key: str) -> str:
    """Return a filter as centre and width, or edge, with its model.

    >>> _filter(None, "dichroic")
    '[MISSING: dichroic]'
    """
    if part is None:
        return missing(key)
    bands = []
    for band in part.bands:
        on, off = band.cut_on_nm, band.cut_off_nm
        if on and off:
            bands.append(f"{(on + off) / 2:g}/{off - on:g} nm")
        else:
            bands.append(f">{on:g} nm" if on else f"<{off:g} nm")
    texts = [text for text in (part.manufacturer, part.model) if text]
    name = " ".join(texts)
    described = " + ".join(bands)
    if name and described:
        return f"{name} ({described})"
    return name or described or missing(f"{key}.bands")


def _qc(view: AcquisitionView, words: Messages) -> Iterable[str]:
    held, paths = qc_that_held(view), qc_of_light_paths(view)
    separator = words["heading"]["separator"]
    without = [path.light_path.get("channel", "") for path in paths if not path.is_valid]
    if len(without) == len(paths):
        yield words["sentence"]["no_qc"]
    elif without:
        yield words["sentence"]["no_qc_of"].format(channels=separator.join(without))
    for sentence, is_valid in (("qc", True), ("qc_old", False)):
        if items := _judged([item for item in held if item.is_valid is is_valid]):
            figures = separator.join(_figure(item, words) for item in items)
            yield words["sentence"][sentence].format(figures=figures)


def _judged(items: list[QcFigure]) -> list[QcFigure]:
    """Return what a reader wants to know: the figures with a verdict, and all of a routine that judges none."""
    judged = [item for item in items if item.figure.status is not QcStatus.UNKNOWN]
    routines = {item.routine for item in judged}
    return judged + [item for item in items if item.routine not in routines]


def _figure(item: QcFigure, words: Messages) -> str:
    measured = item.figure.measured
    assert measured is not None
    unit = {"um": " µm", "1": "", None: ""}.get(measured.unit, f" {measured.unit}")
    return words["sentence"]["qc_figure"].format(
        routine=item.routine,
        metric=item.figure.metric,
        value=_short(measured.value) + unit + _compared(item, words),
        status=words["status"][item.figure.status.value],
        age=int(item.age_s // 86400),
    )


def _compared(item: QcFigure, words: Messages) -> str:
    """Return a figure's value by theory and at time zero of the instrument, in brackets."""
    known = {"theory": item.figure.expected, "baseline": item.figure.baseline}
    texts = [f"{words['heading'][key]} {_short(found.value)}" for key, found in known.items() if found]
    return f" [{'; '.join(texts)}]" if texts else ""


def _short(value: Any) -> str:
    """Return a figure as a text tells it.

    >>> _short(77.7474208), _short(3)
    ('77.75', '3')
    """
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def missing(field: str) -> str:
    """Return the mark of a value that nobody told.

    >>> missing("objective.na")
    '[MISSING: objective.na]'
    """
    return f"[MISSING: {field}]"


def _filled(sentence: str, words: Messages, facts: Facts, **given: str) -> str:
    template = words["sentence"][sentence]
    slots = {name for _, name, _, _ in Formatter().parse(template) if name}
    texts = {name: _slot(name, facts, words) for name in slots - set(given)}
    return template.format(**texts, **given)


def _slot(name: str, facts: Facts, words: Messages) -> str:
    fact = facts.get(_SLOTS[name])
    if fact is None or fact.value == "":
        return missing(_SLOTS[name])
    if name in _TRANSLATED:
        return words[_TRANSLATED[name]].get(str(fact.value), str(fact.value))
    if name == "power":
        return f"{text_of(round(fact.value, 4))} {fact.unit}"
    if name == "ror":
        return f"ROR {fact.value}"
    return text_of(fact.value)


def acknowledgement(view: AcquisitionView, language: str = "en") -> str:
    """Return the acknowledgement: facility, institution, instrument, grants, and staff who consented."""
    return _acknowledged(view.bundle.profile, facts_of(view), language)


def acknowledgement_of_instrument(profile: Profile, language: str = "en") -> str:
    """Return the acknowledgement of an instrument, whatever was acquired on it."""
    facts = stated("facility", profile.facility) | stated("organisation", profile.organisation)
    return _acknowledged(profile, facts | stated("instrument", profile.instrument), language)


def _acknowledged(profile: Profile, facts: Facts, language: str) -> str:
    words = messages(language)
    pid = profile.instrument.pid or missing("instrument.pid")
    sentences = [_filled("acknowledge", words, facts, pid=pid)]
    separator = words["heading"]["separator"]
    if profile.grants:
        grants = separator.join(_grant(item) for item in profile.grants)
        sentences.append(words["sentence"]["grant"].format(grants=grants))
    people = [_person(item) for item in profile.people if item.has_consented and not item.is_experimenter]
    if people:
        sentences.append(words["sentence"]["thank"].format(people=separator.join(people)))
    return words["heading"]["sentence_gap"].join(sentences)


def _grant(grant: Any) -> str:
    details = [text for text in (grant.number, grant.doi) if text]
    return f"{grant.funder} ({', '.join(details)})" if details else str(grant.funder)


def _person(person: Any) -> str:
    """Return a name with ORCID and CRediT roles; the roles keep their English names, which are the standard."""
    details = [text for text in (person.orcid, *(role.replace("-", " ") for role in person.roles)) if text]
    name = f"{person.given_name} {person.family_name}"
    return f"{name} ({', '.join(details)})" if details else name


def provenance(view: AcquisitionView) -> list[tuple[str, str, Fact]]:
    """Return every value that the text can use: channel, field and fact."""
    rows = [("", name, fact) for name, fact in facts_of(view).items()]
    for channel in view.channels:
        rows += [(channel.name, name, fact) for name, fact in channel_facts(view, channel).items()]
    wanted = set(_SLOTS.values()) | {
        f"{key}.{name}"
        for key in ("excitation", "dichroic", "emission")
        for name in ("bands", "model", "manufacturer")
    }
    return [row for row in rows if row[1] in wanted]


def methods_document(view: AcquisitionView, language: str = "en") -> bytes:
    """Return paragraph, acknowledgement and table of provenance as Markdown."""
    words = messages(language)
    heading = words["heading"]
    lines = [
        f"# {heading['methods']}",
        "",
        methods_paragraph(view, language),
        "",
        f"# {heading['acknowledgement']}",
        "",
        acknowledgement(view, language),
        "",
        f"# {heading['provenance']}",
        "",
        "| {field} | {value} | {source} | {origin} |".format_map(heading),
        "|---|---|---|---|",
    ]
    for channel, name, fact in provenance(view):
        unit = f" {fact.unit}" if fact.unit else ""
        field = f"{channel}: {name}" if channel else name
        cells = (field, text_of(fact.value) + unit, words["source"][fact.source.value], fact.origin)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return ("\n".join(lines) + "\n").encode()
