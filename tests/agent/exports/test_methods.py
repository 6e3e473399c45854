"""Methods and acknowledgement: every slot filled or marked, in every language."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from string import Formatter

import pytest

from agent.exports import Bundle, ExportError, load_mapping, view_of
from agent.exports.methods import LANGUAGES, acknowledgement, messages, methods_document, methods_paragraph
from agent.exports.view import AcquisitionView
from agent.records import Profile, QcResult, QcStatus


@pytest.mark.parametrize("language", LANGUAGES)
def test_paragraph_of_a_complete_profile_misses_nothing(view: AcquisitionView, language: str) -> None:
    text = methods_paragraph(view, language)
    assert "MISSING" not in text and "{" not in text
    for value in (
        "Nikon",
        "40×/0.6",
        "PlanFluor",
        "12.5.1",
        "512 × 512",
        "0.25 µm",
        "DAPI",
        "360/40 nm",
        "EC-512",
    ):
        assert value in text, value


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_nobody_told_is_marked_with_its_field(empty_view: AcquisitionView, language: str) -> None:
    text = methods_paragraph(empty_view, language) + acknowledgement(empty_view, language)
    assert {"[MISSING: stand.manufacturer]", "[MISSING: objective.na]", "[MISSING: facility.rrid]"} <= set(
        re.findall(r"\[MISSING: [^\]]+\]", text)
    )
    assert "None" not in text and "{" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_has_every_sentence_term_and_slot_of_the_english_one(language: str) -> None:
    english, other = messages("en"), messages(language)
    assert {section: set(words) for section, words in other.items()} == {
        section: set(words) for section, words in english.items()
    }
    for name, sentence in english["sentence"].items():
        assert slots(other["sentence"][name]) == slots(sentence), name


def slots(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_catalogue_has_a_word_for_every_term() -> None:
    words, terms = messages("en"), load_mapping().terms
    for section in ("modality", "immersion", "detector_type", "mechanism"):
        assert set(words[section]) == set(terms[section])


def test_unknown_language_is_refused(view: AcquisitionView) -> None:
    with pytest.raises(ExportError, match="came 'la'"):
        methods_paragraph(view, "la")


def test_acknowledgement_names_all_that_is_to_be_named(view: AcquisitionView) -> None:
    text = acknowledgement(view)
    for value in (
        "RRID:SCR_018315",
        "05a28rw58",
        "10.5442/NI000001",
        "INSTR-4711",
        "0000-0002-1825-0097",
        "methodology",
    ):
        assert value in text, value


def test_staff_without_consent_are_not_thanked(bundle: Bundle) -> None:
    (person,) = bundle.profile.people
    silent = bundle.profile.model_copy(
        update={"people": (person.model_copy(update={"has_consented": False}),)}
    )
    view = view_of(replace(bundle, profile=silent))
    assert b"Carberry" not in methods_document(view)


def test_qc_is_told_with_age_and_verdict(
    view: AcquisitionView, bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]
) -> None:
    assert "0.231 µm [theory 0.188; time zero 0.224] (pass, 3 days before)" in methods_paragraph(view)
    old = methods_paragraph(view_of(with_qc(bundle, qc(days=400))))
    assert "No valid quality control" in old and "no longer valid" in old and "400 days" in old


def test_methods_name_the_figures_with_a_verdict(
    bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]
) -> None:
    result = qc(metrics={"fwhm_x": 0.23145678, "fwhm_z": 0.8})
    first, second = result.metrics
    metrics = (first, second.model_copy(update={"status": QcStatus.UNKNOWN}))
    text = methods_paragraph(view_of(with_qc(bundle, result.model_copy(update={"metrics": metrics}))))
    assert "psf fwhm_x 0.2315 [" in text and "fwhm_z" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_channel_without_qc_is_named(
    bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle], language: str
) -> None:
    text = methods_paragraph(view_of(with_qc(bundle, qc(light_path={"channel": "FITC"}))), language)
    sentence = messages(language)["sentence"]["no_qc_of"]
    assert sentence.format(channels="DAPI") in text
    assert messages(language)["sentence"]["no_qc"] not in text


def test_table_keeps_measured_and_typed_apart(view: AcquisitionView) -> None:
    text = methods_document(view).decode()
    assert "| camera_settings.gain | 3 | measured or read from the device | Camera.Gain |" in text
    assert "| objective.na | 0.6 | typed by a person (instrument profile) |" in text


def test_guesses_are_marked_in_the_table(bundle: Bundle) -> None:
    objectives = tuple(item.model_copy(update={"derived": ("na",)}) for item in bundle.profile.objectives)
    guessed: Profile = bundle.profile.model_copy(update={"objectives": objectives})
    text = methods_document(view_of(replace(bundle, profile=guessed))).decode()
    assert "| objective.na | 0.6 | derived; a guess until confirmed |" in text


def test_transmitted_light_has_no_filters(bundle: Bundle) -> None:
    channels = tuple(item.model_copy(update={"modality": "brightfield"}) for item in bundle.profile.channels)
    text = methods_paragraph(
        view_of(replace(bundle, profile=bundle.profile.model_copy(update={"channels": channels})))
    )
    assert "the sample was lit" in text and "emission filter" not in text


def test_contradiction_is_told(bundle: Bundle) -> None:
    camera = bundle.profile.cameras[0].model_copy(update={"bit_depth": 12})
    changed = bundle.profile.model_copy(update={"cameras": (camera,)})
    assert "Device and profile disagree" in methods_paragraph(view_of(replace(bundle, profile=changed)))
