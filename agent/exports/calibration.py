"""Quality control as others keep it: NBO's Calibration and Performance fields, microscopemetrics 0.0.5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.exports.mapping import load_mapping, row_of
from agent.exports.quality import qc_of_light_paths, qc_that_held, results_that_held
from agent.exports.view import AcquisitionView, number
from agent.records import Profile, QcMetric, QcResult


def calibration(view: AcquisitionView) -> dict[str, Any]:
    """Return every QC figure that held, under NBO's classes and fields where it has them.

    A figure that NBO has no field for stands under ``other``, so that nothing is lost.
    """
    out: dict[str, Any] = {
        "ModelVersion": load_mapping().nbo_version,
        "light_paths": [item.model_dump(mode="json") for item in qc_of_light_paths(view)],
        "evaluations": [],
    }
    for item in qc_that_held(view):
        row = row_of(item.routine, item.figure) or {}
        nbo, _, field = str(row.get("nbo", "")).partition(".")
        entry: dict[str, Any] = {
            "Class": nbo or "other",
            "Date": item.measured_at.isoformat(),
            "routine": item.routine,
            "metric": item.figure.metric,
            "light_path": dict(item.light_path),
            "status": item.figure.status.value,
            "is_valid": item.is_valid,
            "valid_until": item.valid_until.isoformat(),
            "SampleSize": item.n_used,
        }
        out["evaluations"].append(entry | _measured(item.figure, field or "value", row))
    return out


def _measured(metric: QcMetric, field: str, row: Mapping[str, Any]) -> dict[str, Any]:
    assert metric.measured is not None
    found: dict[str, Any] = {field: metric.measured.value}
    if metric.measured.unit not in (None, "", "1"):
        found[f"{field}Unit"] = "µm" if metric.measured.unit == "um" else metric.measured.unit
    if metric.expected and row.get("theory"):
        found[str(row["theory"]).partition(".")[2]] = metric.expected.value
    if metric.uncertainty:
        found[f"{field}_SD"] = metric.uncertainty.value
    return found


_DATASETS = {
    "illumination": ("FieldIlluminationDataset", "field_illumination_images"),
    "psf": ("PSFBeadsDataset", "psf_beads_images"),
    "sample_power": ("LightSourcePowerDataset", "power_measurements"),
    "power_linearity": ("LightSourcePowerDataset", "power_measurements"),
    "power_stability": ("LightSourcePowerDataset", "power_measurements"),
}


def microscopemetrics_class(result: QcResult) -> str | None:
    """Return the dataset class of microscopemetrics that a result is; none for routines it has no class for."""
    found = _DATASETS.get(result.routine)
    return found[0] if found else None


def microscopemetrics(result: QcResult, profile: Profile) -> dict[str, Any] | None:
    """Return a QC result as a dataset of microscopemetrics; none for routines it has no class for."""
    if result.routine not in _DATASETS:
        return None
    dataset, inputs = _DATASETS[result.routine]
    key_measurement = _key_measurement(result)
    return {
        "name": f"{result.routine} {result.run_id}",
        "description": f"{dataset} measured by {result.producer.software}",
        "microscope": _microscope(profile, result.instrument_id),
        "processed": True,
        "acquisition_datetime": _zoned(result),
        "data_reference": {"data_uri": f"urn:uuid:{result.acquisition_id or result.run_id}"},
        "input_data": {inputs: []},
        "output": {
            "processing_application": [result.producer.software],
            "processing_version": [result.producer.version],
            "processing_datetime": _zoned(result),
            "validated": False,
            "key_measurements": [key_measurement],
            "processing_log": f"Verdict of {result.producer.software}: {result.status.value}",
        },
    }


def _zoned(result: QcResult) -> str:
    return result.captured.wall_at.isoformat().replace("+00:00", "Z")


def _microscope(profile: Profile, instrument_id: str) -> dict[str, Any]:
    plate, stand = profile.instrument, profile.stand
    kinds = {
        "widefield_fluorescence": "WIDEFIELD",
        "spinning_disk": "CONFOCAL",
        "point_scanning_confocal": "CONFOCAL",
        "sted": "STED",
        "sim": "SIM3D",
    }
    found = {
        "name": plate.name or instrument_id,
        "microscope_type": kinds.get(plate.modality or "", "OTHER" if plate.modality else None),
        "manufacturer": stand.manufacturer if stand else None,
        "model": plate.model or (stand.model if stand else None),
        "serial_number": plate.serial_number,
    }
    return {key: value for key, value in found.items() if value}


def _key_measurement(result: QcResult) -> dict[str, Any]:
    """Return the columns of microscopemetrics that the figures fill."""
    out: dict[str, Any] = {}
    for metric in result.metrics:
        row = row_of(result.routine, metric)
        value = number(metric.measured.value) if metric.measured else None
        if row and row.get("microscopemetrics") and value is not None:
            out[row["microscopemetrics"]] = value
    channel = result.light_path.get("channel")
    if result.routine in ("psf", "illumination"):
        return out | ({"channel_name": channel} if channel else {}) | _counts(result)
    light = result.light_path.get("light_source")
    return out | {"nr_of_measurements": result.n_used} | ({"light_source": {"name": light}} if light else {})


def _counts(result: QcResult) -> dict[str, int]:
    if result.routine != "psf":
        return {}
    n_rejected = sum(result.n_rejected.values())
    return {"considered_valid_count": result.n_used, "total_bead_count": result.n_used + n_rejected}


def microscopemetrics_yaml(view: AcquisitionView) -> bytes:
    """Return the QC results that held as documents of one YAML file; empty when none is among the records."""
    documents = [microscopemetrics(result, view.bundle.profile) for result in results_that_held(view)]
    texts = ["\n".join(_yaml(document)) + "\n" for document in documents if document]
    return "---\n".join(texts).encode()


def _yaml(value: Any, indent: str = "") -> list[str]:
    """Return plain values as lines of YAML; texts are quoted as in JSON, which YAML allows."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [f"{indent}{key}:", *_yaml(item, indent + "  ")]
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{indent}{key}:")
            for entry in item:
                first, *rest = _yaml(entry, indent + "    ")
                lines += [f"{indent}  - {first.strip()}", *rest]
        else:
            lines.append(f"{indent}{key}: {json.dumps(item, ensure_ascii=False)}")
    return lines
