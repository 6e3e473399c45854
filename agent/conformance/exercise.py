"""Exercise an adapter: read, set, restore, move a little; every call with a deadline, every hang and crash survived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from agent.conformance.choice import (
    MOVE_UM,
    Permission,
    is_objective_turret,
    values_to_try,
    why_device_left_alone,
    why_left_alone,
)
from agent.conformance.findings import (
    AcquisitionTrial,
    LeftAlone,
    MoveTrial,
    PresetTrial,
    PropertyFacts,
    Read,
    Trial,
)
from agent.conformance.process import Bench
from agent.errors import HardwareError

_STAGES = ("StageDevice", "XYStageDevice")
_DESCRIBE_FACTOR = 10
_ACQUIRE_FACTOR = 4
_CHOICES = ("Camera", "Shutter", "Focus", "XYStage", "AutoFocus")
"""The core's own properties that only choose a device, which by itself moves and lights nothing."""
_UNUSABLE = ("hung", "crashed")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take."""

    read_deadline_s: float = 5.0
    set_deadline_s: float = 20.0
    notification_ms: float = 200.0


@dataclass(slots=True)
class Seen:
    """What was seen so far."""

    description: Mapping[str, Any]
    reads: list[Read] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    presets: list[PresetTrial] = field(default_factory=list)
    moves: list[MoveTrial] = field(default_factory=list)
    acquisition: AcquisitionTrial | None = None  # none: there is no camera
    records: list[Any] = field(default_factory=list)  # of the acquisition, as plain values
    left_alone: list[LeftAlone] = field(default_factory=list)
    ended_early: str = ""  # why, when the hardware did not load again after it hung or crashed

    @property
    def untouchable(self) -> set[tuple[str, str]]:
        """Properties that hung or crashed the process: they are not touched again."""
        bad = ("hung", "crashed")
        tried: tuple[Any, ...] = (*self.reads, *self.trials)
        return {(item.facts.device, item.facts.name) for item in tried if item.status in bad}


def exercise(bench: Bench, may: Permission, pace: Pace) -> Seen:
    """Return what was seen of the hardware on `bench`.

    Raises
    ------
    HardwareError
        The hardware does not load, or does not describe itself.
    """
    answer = bench.ask("describe", pace.set_deadline_s * _DESCRIBE_FACTOR)
    if answer.status != "ok":
        raise HardwareError(f"The loaded hardware could not be described: {answer.error}")
    seen = Seen(answer.result)
    try:
        _work_through(bench, seen, may, pace)
    except HardwareError as error:
        seen.ended_early = str(error)
    return seen


def _work_through(bench: Bench, seen: Seen, may: Permission, pace: Pace) -> None:
    try:
        for facts in facts_of(seen.description):
            seen.reads.append(_read(bench, facts, pace))
        _try_values(bench, seen, may, pace)
        _try_presets(bench, seen, may, pace)
        _try_moves(bench, seen, pace)
        _acquire(bench, seen, may, pace)
    except (KeyboardInterrupt, SystemExit):  # SIGTERM comes as the latter
        with suppress(HardwareError):
            _put_back(bench, seen, may, pace)
        raise
    _put_back(bench, seen, may, pace)


def facts_of(description: Mapping[str, Any]) -> Iterable[PropertyFacts]:
    """Return what every device declares of its properties, without Micro-Manager's own."""
    for device in description["devices"]:
        if device["device_type"] != "CoreDevice":
            for item in device["properties"]:
                allowed = tuple(item["allowed_values"])
                yield PropertyFacts(
                    device["label"], device["device_type"], **(item | {"allowed_values": allowed})
                )


def _read(bench: Bench, facts: PropertyFacts, pace: Pace) -> Read:
    answer = bench.ask("read", pace.read_deadline_s, device=facts.device, property=facts.name)
    if answer.status != "ok":
        return Read(facts, answer.status, None, (), answer.error)
    return Read(facts, "ok", answer.result["raw"], tuple(answer.result["took_ms"]))


def _try_values(bench: Bench, seen: Seen, may: Permission, pace: Pace) -> None:
    devices = {device["label"]: device for device in seen.description["devices"]}
    for label, why in _devices_left_alone(seen.description, may).items():
        seen.left_alone.append(LeftAlone(label, "", why))
    for read in seen.reads:
        facts = read.facts
        if read.status != "ok" or why_device_left_alone(devices[facts.device], may):
            continue
        if why := why_left_alone(facts, may):
            seen.left_alone.append(LeftAlone(facts.device, facts.name, why))
        else:
            _try_property(bench, seen, read, pace)


def _devices_left_alone(description: Mapping[str, Any], may: Permission) -> dict[str, str]:
    found = {device["label"]: why_device_left_alone(device, may) for device in description["devices"]}
    return {label: why for label, why in found.items() if why and label != "Core"}


def _try_property(bench: Bench, seen: Seen, read: Read, pace: Pace) -> None:
    """Set a property to what it says it allows, then back to what it was."""
    before = str(read.raw)
    if read.facts.allowed_values and before not in read.facts.allowed_values:
        seen.left_alone.append(
            LeftAlone(read.facts.device, read.facts.name, "its present value could not be put back")
        )
        return
    is_usable = True
    try:
        for value in values_to_try(read.facts, before):
            trial = _try(bench, Trial(read.facts, before, value, ""), pace, pace.notification_ms)
            seen.trials.append(trial)
            is_usable = trial.status not in _UNUSABLE
            if not is_usable:
                break
    finally:  # Ctrl-C, too, leaves things as they were
        if is_usable:
            restore = Trial(read.facts, before, before, "", is_restore=True)
            seen.trials.append(_try(bench, restore, pace, 0.0))


def _try(bench: Bench, trial: Trial, pace: Pace, wait_ms: float) -> Trial:
    answer = bench.ask(
        "try_value",
        pace.set_deadline_s + wait_ms / 1e3,
        device=trial.facts.device,
        property=trial.facts.name,
        value=trial.value,
        wait_ms=wait_ms,
    )
    if answer.status != "ok":
        return replace(trial, status=answer.status, error=answer.error, waited_ms=wait_ms)
    return replace(trial, status="ok", waited_ms=wait_ms, **answer.result)


def _try_presets(bench: Bench, seen: Seen, may: Permission, pace: Pace) -> None:
    """Set the first two presets of every group that commands nothing which is left alone."""
    devices = {device["label"]: device for device in seen.description["devices"]}
    raw = {(read.facts.device, read.facts.name): read for read in seen.reads}
    tried: dict[str, int] = {}
    for preset in seen.description["presets"]:
        group, name = preset["group"], preset["name"]
        if tried.setdefault(group, 0) >= 2:
            continue
        why = _why_preset_left_alone(preset["settings"], devices, raw, seen.untouchable, may)
        if why:
            seen.left_alone.append(LeftAlone("Core", f"@preset {group}/{name}", why))
            continue
        tried[group] += 1
        answer = bench.ask(
            "try_preset",
            pace.set_deadline_s + _waits_s(preset, pace),
            group=group,
            preset=name,
            wait_ms=pace.notification_ms,
        )
        seen.presets.append(
            PresetTrial(group, name, answer.status, error=answer.error, **(answer.result or {}))
        )


def _waits_s(preset: Mapping[str, Any], pace: Pace) -> float:
    """Return how long the notifications of a preset are waited for at most."""
    return len(preset["settings"]) * pace.notification_ms / 1e3


def _why_preset_left_alone(
    settings: list[list[str]],
    devices: Mapping[str, Any],
    raw: Mapping[tuple[str, str], Read],
    untouchable: set[tuple[str, str]],
    may: Permission,
) -> str | None:
    for label, name, _ in settings:
        if label == "Core" and name in _CHOICES:
            continue
        read = raw.get((label, name))
        if read is None or read.status != "ok" or (label, name) in untouchable:
            return f"commands {label}-{name}, which cannot be put back"
        if why := why_device_left_alone(devices[label], may):
            return f"commands {label}, which {why}"
        why = why_left_alone(read.facts, may)
        if why and not why.startswith("declares neither"):
            return f"commands {label}-{name}, which {why}"
    return None


def _try_moves(bench: Bench, seen: Seen, pace: Pace) -> None:
    """Move every stage a little and back; the other way where it refuses, for it may be at its end."""
    for device in seen.description["devices"]:
        if device["device_type"] in _STAGES and not is_objective_turret(device):
            move = _move(bench, device["label"], MOVE_UM, pace)
            if move.status == "failed":
                move = _move(bench, device["label"], -MOVE_UM, pace)
            seen.moves.append(move)


def _move(bench: Bench, label: str, distance_um: float, pace: Pace) -> MoveTrial:
    answer = bench.ask(
        "try_move",
        pace.set_deadline_s + pace.notification_ms / 1e3,
        device=label,
        distance_um=distance_um,
        wait_ms=pace.notification_ms,
    )
    return MoveTrial(label, distance_um, answer.status, error=answer.error, **(answer.result or {}))


def _acquire(bench: Bench, seen: Seen, may: Permission, pace: Pace) -> None:
    """Run a small acquisition with what may be worked, so that its records show what becomes of it."""
    if not any(device["device_type"] == "CameraDevice" for device in seen.description["devices"]):
        return
    answer = bench.ask(
        "acquire",
        pace.set_deadline_s * _ACQUIRE_FACTOR,
        presets=[[trial.group, trial.preset] for trial in seen.presets if trial.status == "ok"],
        movable=[move.device for move in seen.moves if move.status == "ok" and move.is_back],
        left_alone=[list(key) for key in sorted(seen.untouchable)],
        may_light=may.may_light,
        settle_s=pace.set_deadline_s,
    )
    seen.records = answer.result["records"] if answer.status == "ok" else []
    seen.acquisition = AcquisitionTrial(answer.status, error=answer.error)


def _put_back(bench: Bench, seen: Seen, may: Permission, pace: Pace) -> None:
    """Set back what differs from the beginning: setting one property may have changed another, twice over."""
    devices = {device["label"]: device for device in seen.description["devices"]}
    settable = [
        read
        for read in seen.reads
        if read.status == "ok"
        and not (read.facts.is_read_only or read.facts.is_pre_init)
        and not why_device_left_alone(devices[read.facts.device], may)
        and (read.facts.device, read.facts.name) not in seen.untouchable
    ]
    for _ in range(2):
        for read, _now in _moved(bench, settable, pace):
            restore = Trial(read.facts, str(read.raw), str(read.raw), "", is_restore=True)
            seen.trials.append(_try(bench, restore, pace, 0.0))
    tried = {(trial.facts.device, trial.facts.name) for trial in seen.trials}
    ours = [read for read in settable if (read.facts.device, read.facts.name) in tried]
    for read, now in _moved(bench, ours, pace):  # the judge tells what did not come back
        before = str(read.raw)
        seen.trials.append(Trial(read.facts, before, before, "ok", read_back=now.raw, is_restore=True))


def _moved(bench: Bench, reads: list[Read], pace: Pace) -> Iterable[tuple[Read, Read]]:
    """Give the first and the present reading of each property that reads otherwise now."""
    for read in reads:
        now = _read(bench, read.facts, pace)
        if now.status == "ok" and now.raw != read.raw:
            yield read, now
