"""Annotations of an OME-XML document: identity, quality control and the full record's hash."""

from __future__ import annotations

from typing import Any

from ome_types import model as ome

from agent.exports.micro_meta import instrument_uuid
from agent.exports.ome_instrument import Annotations
from agent.exports.quality import QcThatHeld, qc_that_held
from agent.exports.view import AcquisitionView
from agent.records import sha256_of

STAMP_NAMESPACE = "https://scopestamp.org/stamp/v1"
PIDINST_NAMESPACE = "https://www.rd-alliance.org/pidinst/1.0"
QC_NAMESPACE = "https://scopestamp.org/qc"
SETTINGS_NAMESPACE = "https://scopestamp.org/device-properties/v1"
PEOPLE_NAMESPACE = "https://scopestamp.org/people/v1"


def instrument_notes(view: AcquisitionView, notes: Annotations) -> list[ome.AnnotationRef]:
    """Return references to what is noted of the instrument: identity and quality control."""
    profile = view.bundle.profile
    plate = profile.instrument
    identity = notes.add(
        PIDINST_NAMESPACE,
        {
            "Identifier": plate.pid,
            "Name": plate.name,
            "LandingPage": plate.landing_page,
            "Owner": "; ".join(owner.name for owner in plate.owners),
            "Manufacturer": "; ".join(maker.name for maker in plate.manufacturers),
            "Model": plate.model,
            "SerialNumber": plate.serial_number,
            "UUID": str(instrument_uuid(view.bundle.finished.instrument_id, profile)),
            "instrument_id": view.bundle.finished.instrument_id,
            "profile_version": profile.version,
            "profile_sha256": profile.sha256,
        },
    )
    held = [item for item in qc_that_held(view) if not is_live_check(view, item)]
    references = [notes.add(*qc_note(item)) for item in held]
    if not any(item.is_valid for item in held):
        references.append(notes.add(f"{QC_NAMESPACE}/none/v1", {"status": "no valid QC"}))
    return [reference for reference in [identity, *references] if reference is not None]


def is_live_check(view: AcquisitionView, item: QcThatHeld) -> bool:
    """Whether a figure was measured on this acquisition itself."""
    return item.result.acquisition_id == view.bundle.finished.acquisition_id


def qc_note(item: QcThatHeld) -> tuple[str, dict[str, Any]]:
    """Return namespace and pairs of one figure."""
    metric, result = item.metric, item.result
    assert metric.measured is not None
    values: dict[str, Any] = {
        "routine": result.routine,
        "metric": metric.metric,
        "value": metric.measured.value,
        "unit": metric.measured.unit,
        "uncertainty": metric.uncertainty.value if metric.uncertainty else None,
        "expected": metric.expected.value if metric.expected else None,
        "baseline": metric.baseline.value if metric.baseline else None,
        "lower_limit": metric.lower_limit,
        "upper_limit": metric.upper_limit,
        "status": metric.status.value,
        "rule": metric.rule,
        "measured_at": item.measured_at,
        "age_days": f"{item.age.total_seconds() / 86400:.1f}",
        "is_valid": item.is_valid,
        "record_id": str(result.record_id),
        "record_sha256": sha256_of(result),
    }
    path = {f"light_path.{key}": value for key, value in result.light_path.items()}
    return f"{QC_NAMESPACE}/{result.routine}/v1", values | path


def image_notes(view: AcquisitionView, notes: Annotations) -> list[ome.AnnotationRef]:
    """Return references to what is noted of the images: full record, raw state, live checks, contradictions."""
    finished = view.bundle.finished
    before = finished.before.devices if finished.before else {}
    raw = {
        f"{device}.{name}": reading.value
        for device, properties in before.items()
        for name, reading in properties.items()
        if reading.value is not None
    }
    pairs: list[tuple[str, dict[str, Any]]] = [
        (STAMP_NAMESPACE, stamp_values(view)),
        (SETTINGS_NAMESPACE, raw),
        (f"{STAMP_NAMESPACE}/contradictions", {str(i): text for i, text in enumerate(view.contradictions)}),
        *(qc_note(item) for item in qc_that_held(view) if is_live_check(view, item)),
    ]
    references = [notes.add(namespace, values) for namespace, values in pairs]
    return [reference for reference in references if reference is not None]


def stamp_values(view: AcquisitionView) -> dict[str, str]:
    """Return what names the full record of an acquisition."""
    finished = view.bundle.finished
    return {
        "record_id": str(finished.record_id),
        "record_sha256": sha256_of(finished),
        "acquisition_id": str(finished.acquisition_id),
        "instrument_id": finished.instrument_id,
    }
