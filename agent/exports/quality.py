"""Quality control that held for an acquisition, as its record tells it; and the hardware as it was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.exports.bundle import Bundle
from agent.exports.mapping import row_of
from agent.exports.view import AcquisitionView, number
from agent.records import (
    Camera,
    Part,
    Profile,
    QcFigure,
    QcOfLightPath,
    QcResult,
    Software,
    Stage,
)


def qc_that_held(view: AcquisitionView) -> tuple[QcFigure, ...]:
    """Return the figures that the acquisition's record carries, valid or not."""
    return _figures(view.bundle)


def qc_of_light_paths(view: AcquisitionView) -> tuple[QcOfLightPath, ...]:
    """Return what the record says of each light path; nothing when the agent could not look it up."""
    stamp = view.bundle.finished.qc
    return stamp.light_paths if stamp else ()


def is_under_qc(view: AcquisitionView) -> bool:
    """Whether every light path had valid quality control."""
    paths = qc_of_light_paths(view)
    return bool(paths) and all(path.is_valid for path in paths)


def results_that_held(view: AcquisitionView) -> tuple[QcResult, ...]:
    """Return the whole results behind the figures, as far as they are among the records."""
    wanted = {figure.record_id for figure in qc_that_held(view)}
    return tuple(result for result in view.bundle.qc if result.record_id in wanted)


def results_on(view: AcquisitionView) -> tuple[QcResult, ...]:
    """Return the results that were measured on this very acquisition."""
    own = view.bundle.finished.acquisition_id
    return tuple(result for result in view.bundle.qc if result.acquisition_id == own)


def _figures(bundle: Bundle) -> tuple[QcFigure, ...]:
    return bundle.finished.qc.figures if bundle.finished.qc else ()


def profile_as_measured(bundle: Bundle) -> Profile:
    """Return the profile, with what it does not state filled from QC and from the running software."""
    profile = bundle.profile
    cameras = tuple(_camera_as_measured(bundle, camera) for camera in profile.cameras)
    stages = tuple(_stage_as_measured(bundle, stage) for stage in profile.stages)
    return profile.model_copy(
        update={"cameras": cameras, "stages": stages, "software": _software(bundle, profile)}
    )


def _camera_as_measured(bundle: Bundle, camera: Camera) -> Camera:
    updated: Camera = _filled(camera, _of_part(bundle, "camera", camera), "cameras")
    return updated


def _stage_as_measured(bundle: Bundle, stage: Stage) -> Stage:
    updated: Stage = _filled(stage, _of_part(bundle, "stage", stage), "stages")
    return updated


def _of_part(bundle: Bundle, key: str, part: Part) -> list[QcFigure]:
    return [item for item in _figures(bundle) if item.light_path.get(key) in (part.device, part.name)]


def _filled(part: Any, figures: Iterable[QcFigure], section: str) -> Any:
    """Return a part with what QC measured of it and nobody stated; the latest figure is taken."""
    update: dict[str, Any] = {}
    for item in sorted(figures, key=lambda item: item.measured_at):
        row = row_of(item.routine, item.figure) or {}
        fed_section, _, field = str(row.get("feeds", "")).partition(".")
        value = number(item.figure.measured.value) if item.figure.measured else None
        if fed_section == section and value is not None and getattr(part, field) is None:
            update[field] = value
    return part.model_copy(update=update) if update else part


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
