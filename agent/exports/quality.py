"""Quality control that held for an acquisition: the latest result for its light path, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.exports.bundle import Bundle
from agent.exports.mapping import load_mapping
from agent.exports.view import AcquisitionView, number
from agent.records import Camera, Part, Profile, QcMetric, QcResult, Software, Stage

VALID_FOR = timedelta(days=90)
"""A result that is older is told, but no longer called valid."""


@dataclass(frozen=True)
class QcThatHeld:
    """One metric as it stood when the acquisition was taken."""

    result: QcResult
    metric: QcMetric
    age: timedelta
    is_valid: bool

    @property
    def measured_at(self) -> datetime:
        """When it was measured."""
        return self.result.captured.wall_at


def qc_that_held(view: AcquisitionView) -> tuple[QcThatHeld, ...]:
    """Return the latest result of every metric that was measured on this light path before the acquisition."""
    began = view.bundle.finished.started.wall_at
    latest: dict[tuple[Any, ...], QcThatHeld] = {}
    for result in sorted(view.bundle.qc, key=lambda item: item.captured.wall_at):
        age = began - result.captured.wall_at
        if age < timedelta(0) or not _is_of_light_path(view, result):
            continue
        for metric in result.metrics:
            if metric.measured is not None:
                key = (result.routine, metric.metric, tuple(sorted(result.light_path.items())))
                latest[key] = QcThatHeld(result, metric, age, age <= VALID_FOR)
    return tuple(latest.values())


def _is_of_light_path(view: AcquisitionView, result: QcResult) -> bool:
    """Whether what the result says of objective, camera and channel fits this acquisition; silence fits all."""
    path = result.light_path
    objective = (
        {view.labels.get(view.objective.device or ""), view.objective.name} if view.objective else set()
    )
    objective |= {str(label) for device, label in view.labels.items() if "objective" in device.lower()}
    camera = {view.camera_label} | ({view.camera.name} if view.camera else set())
    channels = {channel.name for channel in view.channels}
    return all(
        path.get(key) is None or path[key] in names
        for key, names in (("objective", objective), ("camera", camera), ("channel", channels))
    )


def profile_as_measured(bundle: Bundle) -> Profile:
    """Return the profile, with what it does not state filled from QC and from the running software."""
    profile = bundle.profile
    cameras = tuple(_camera_as_measured(bundle, camera) for camera in profile.cameras)
    stages = tuple(_stage_as_measured(bundle, stage) for stage in profile.stages)
    return profile.model_copy(
        update={"cameras": cameras, "stages": stages, "software": _software(bundle, profile)}
    )


def _camera_as_measured(bundle: Bundle, camera: Camera) -> Camera:
    results = [item for item in bundle.qc if item.light_path.get("camera") in (camera.device, camera.name)]
    updated: Camera = _filled(camera, results, "cameras")
    return updated


def _stage_as_measured(bundle: Bundle, stage: Stage) -> Stage:
    results = [
        item
        for item in bundle.qc
        if str(item.parameters.get("stage", item.light_path.get("stage", ""))) in (stage.device, stage.name)
    ]
    updated: Stage = _filled(stage, results, "stages")
    return updated


def _filled(part: Any, results: list[QcResult], section: str) -> Any:
    """Return a part with what QC measured of it and nobody stated; the latest figure is taken."""
    update: dict[str, Any] = {}
    for result in sorted(results, key=lambda item: item.captured.wall_at):
        for metric in result.metrics:
            row = row_of(result.routine, metric) or {}
            fed_section, _, field = str(row.get("feeds", "")).partition(".")
            value = number(metric.measured.value) if metric.measured else None
            if fed_section == section and value is not None and getattr(part, field) is None:
                update[field] = value
    return part.model_copy(update=update) if update else part


def row_of(routine: str, metric: QcMetric) -> Mapping[str, Any] | None:
    """Return the mapping's row for a figure: by routine and name, without brackets or a unit at its end."""
    stem = metric.metric.partition("[")[0]
    unit = metric.measured.unit if metric.measured else None
    names = {stem, stem.removesuffix(f"_{(unit or '').lower()}")}
    rows = load_mapping().qc
    return next((row for row in rows if row["routine"] == routine and row["metric"] in names), None)


def _software(bundle: Bundle, profile: Profile) -> tuple[Part, ...]:
    live = bundle.instrument.software if bundle.instrument else {}
    known = {name.lower(): version for name, version in live.items()}
    stated = tuple(
        item if item.version else item.model_copy(update={"version": _version_of(item, known)})
        for item in profile.software
    )
    return stated or tuple(Software(name=name, version=version) for name, version in live.items())


def _version_of(software: Software, live: dict[str, str]) -> str | None:
    """Return the running version of a program; Micro-Manager's own is that of its core."""
    names = [software.name.lower()]
    if names[0].startswith("micro-manager"):
        names += ["mmcore", "micro-manager core"]
    return next((version for name in names for key, version in live.items() if key.startswith(name)), None)
