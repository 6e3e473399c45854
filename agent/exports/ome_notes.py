"""Annotations of an OME-XML document: identity, quality control and the full record's hash."""

from __future__ import annotations

from typing import Any

from ome_types import model as ome

from agent.exports.micro_meta import instrument_uuid
from agent.exports.ome_instrument import Annotations
from agent.exports.qc_stamp import NO_VALID_QC, qc_texts
from agent.exports.quality import is_under_qc, qc_that_held, results_on
from agent.exports.view import AcquisitionView
from agent.records import QcFigure, QcMetric, QcResult, sha256_of

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
    references = [notes.add(*qc_note(item)) for item in qc_that_held(view)]
    return [reference for reference in [identity, *references] if reference is not None]


def qc_note(item: QcFigure) -> tuple[str, dict[str, Any]]:
    """Return namespace and pairs of one figure that held."""
    values = _figure(item.figure) | {
        "routine": item.routine,
        "measured_at": item.measured_at,
        "age_days": f"{item.age_s / 86400:.1f}",
        "valid_until": item.valid_until,
        "is_valid": item.is_valid,
        "record_id": str(item.record_id),
        "record_sha256": item.record_sha256,
    }
    path = {f"light_path.{key}": value for key, value in item.light_path.items()}
    return f"{QC_NAMESPACE}/{item.routine}/v1", values | path


def _figure(metric: QcMetric) -> dict[str, Any]:
    known = {
        "value": metric.measured,
        "uncertainty": metric.uncertainty,
        "expected": metric.expected,
        "baseline": metric.baseline,
    }
    return {
        "metric": metric.metric,
        **{key: quantity.value for key, quantity in known.items() if quantity},
        "unit": metric.measured.unit if metric.measured else None,
        "lower_limit": metric.lower_limit,
        "upper_limit": metric.upper_limit,
        "status": metric.status.value,
        "rule": metric.rule,
    }


def _own_check(result: QcResult) -> tuple[str, dict[str, Any]]:
    """Return namespace and pairs of a result that was measured on the acquisition itself."""
    pairs: dict[str, Any] = {"routine": result.routine, "status": result.status.value}
    pairs |= {
        f"{metric.metric}.{key}": value
        for metric in result.metrics
        for key, value in _figure(metric).items()
        if key in ("value", "unit", "status")
    }
    return f"{QC_NAMESPACE}/measured-here/{result.routine}/v1", pairs | {
        "record_id": str(result.record_id),
        "record_sha256": sha256_of(result),
    }


def _qc_summary(view: AcquisitionView) -> dict[str, str]:
    """Return per light path whether quality control held, in words."""
    stamp = view.bundle.finished.qc
    if stamp is None:
        return qc_texts(None)
    valid = "valid" if is_under_qc(view) else NO_VALID_QC
    return {"status": valid} | {
        path.light_path.get("channel", "all"): path.statement for path in stamp.light_paths
    }


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
        (f"{QC_NAMESPACE}/v1", _qc_summary(view)),
        *(_own_check(result) for result in results_on(view)),
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
