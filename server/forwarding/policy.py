"""What of a record goes up. Whatever is not known to be harmless is withheld; what is changed says so.

The rules name fields of the records' models. A record of a kind or version that is not known here cannot be judged, and is withheld
wholly as soon as anything within records is; so is a field that the model does not know.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.records import Record, canonical_json, decode_tolerant
from server.forwarding.fields import (
    PEOPLE,
    REPLACED,
    SUMMARIES,
    SUMMARY_LEAVES_OUT,
    TEXTS,
    Json,
    Path,
    ends,
    named_properties,
    named_settings,
    objects,
    properties_in,
    remove,
    remove_text_parameters,
    remove_words,
)
from server.forwarding.protocol import MARK, Filtered
from server.settings import UpstreamSettings

_WITHHELD = "withheld"
_NAMES = ("path", "sidecar", "name")
_MARKS: TypeAdapter[list[Filtered]] = TypeAdapter(list[Filtered])
_WORST_FIRST = ("fail", "warn", "pass", "unknown")


class Policy:
    """The filters of one site.

    Parameters
    ----------
    settings : UpstreamSettings
        What they are.
    collector_id : str
        Whose policy it is; stands in every record that it changed.
    secret : bytes
        Makes names of withheld paths, so that one can be told from another.
    """

    def __init__(self, settings: UpstreamSettings, collector_id: str, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret
        self._collector_id = collector_id
        self._is_strict = settings.withhold_people or settings.withhold_samples
        self._looks_within = self._is_strict or settings.summaries_only or bool(settings.metrics)
        self._thinned = {
            "state_snapshot": timedelta(seconds=settings.snapshots_every_s),
            "heartbeat": timedelta(seconds=settings.heartbeats_every_s),
        }
        self._last: dict[tuple[str, str], datetime] = {}
        filters: tuple[tuple[str, bool, Callable[[Json], None]], ...] = (
            ("people", settings.withhold_people, self._without_people),
            ("samples", settings.withhold_samples and not settings.withhold_people, self._without_samples),
            ("properties", self._is_strict, self._without_properties),
            ("summaries", settings.summaries_only, _summary),
            ("metrics", bool(settings.metrics), self._chosen_metrics),
        )
        self._filters = [(name, apply) for name, is_on, apply in filters if is_on]

    def apply(self, lines: Iterable[bytes]) -> list[bytes]:
        """Return what goes up of the lines of a batch: each as it was, changed and marked, or not at all."""
        return [line for line in map(self._line, lines) if line is not None]

    @property
    def withholds_people(self) -> bool:
        """Whether names of people, and so of their computers, stay here."""
        return self._settings.withhold_people

    def _line(self, raw: bytes) -> bytes | None:
        if raw.startswith(b"#"):  # given up by retention
            return None
        try:
            return self._judged(raw)
        except (ValueError, OverflowError, RecursionError):
            # It is no record of ours, or has numbers in it that JSON cannot tell.
            return None if self._looks_within or self._settings.kinds else raw

    def _judged(self, raw: bytes) -> bytes | None:
        record, told = decode_tolerant(raw), json.loads(raw, object_pairs_hook=_once)
        kind = str(told["kind"])
        if not self._wants(kind) or self._is_too_soon(kind, record):
            return None
        return self._changed(raw, told, record)

    def _wants(self, kind: str) -> bool:
        if self._settings.summaries_only and kind not in SUMMARIES:
            return False
        return not self._settings.kinds or kind in self._settings.kinds

    def _is_too_soon(self, kind: str, record: Record) -> bool:
        apart = self._thinned.get(kind)
        if not apart:
            return False
        at, place = record.captured.wall_at, (record.instrument_id, kind)
        last = self._last.get(place)
        if last is not None and timedelta() <= at - last < apart:
            return True
        self._last[place] = at
        return False

    def _changed(self, raw: bytes, told: Json, record: Record) -> bytes | None:
        if not self._looks_within:
            return raw
        value = record.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        marks = _marks_in(told)
        names = [] if value | marks == told else ["unknown fields"]
        before = json.dumps(value)
        for name, apply in self._filters:
            apply(value)
            if (after := json.dumps(value)) != before:
                names.append(name)
            before = after
        if self._settings.metrics and value["kind"] == "qc_result" and not value["metrics"]:
            return None
        if not names:
            return raw
        mark = Filtered(
            by=self._collector_id, filters=tuple(names), original_sha256=hashlib.sha256(raw).hexdigest()
        )
        return canonical_json({**value, MARK: [*marks.get(MARK, ()), mark.model_dump(mode="json")]})

    def _without_people(self, value: Json) -> None:
        if value["kind"] == "usage_session" and "user" in value:
            value["user_name"] = "omitted"
        for path in PEOPLE.get(value["kind"], ()):
            remove(value, path)
        self._without_samples(value)

    def _without_samples(self, value: Json) -> None:
        for path in TEXTS.get(value["kind"], ()):
            remove(value, path)
        for path in REPLACED.get(value["kind"], ()):
            self._replace(value, path)
        remove_words(value)
        remove_text_parameters(value)

    def _without_properties(self, value: Json) -> None:
        """Withhold what devices are told of people and samples, wherever a state, a change, a preset or a plan tells it."""
        for table, name in named_properties(value):
            if self._is_withheld(name):
                table.pop(name, None)
        for table, setting in named_settings(value):
            if any(self._is_withheld(name) for name in properties_in(setting)):
                table.pop(setting, None)
        for found in objects(value):
            for name in filter(self._is_withheld, found.get("properties", ())):
                remove(found, ("properties", name, "allowed_values"))
            if "after" in found and self._is_withheld(found.get("property", "")):
                for end in ("before", "after"):
                    self._replace(found, (end, "value"))

    def _replace(self, value: Any, path: Path) -> None:
        for holder, key in ends(value, path):
            if holder[key] != "":
                holder[key] = self._name_for(holder[key]) if key in _NAMES else _WITHHELD

    def _name_for(self, path: str) -> str:
        """Return a name that is the same for the same path, and cannot be guessed back without the site's key."""
        token = hmac.new(self._secret, path.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:12]
        return f"{_WITHHELD}-{token}{_format_of(path)}"

    def _is_withheld(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), one.lower()) for one in self._settings.withhold_properties)

    def _chosen_metrics(self, value: Json) -> None:
        def is_chosen(name: str) -> bool:
            return any(fnmatchcase(name, one) for one in self._settings.metrics)

        if value["kind"] == "qc_result":
            chosen = [one for one in value["metrics"] if is_chosen(one["metric"])]
            if len(chosen) < len(value["metrics"]):  # the rest speaks of all figures
                value |= {"metrics": chosen, "status": _worst(chosen), "remarks": [], "advice": []}
        if value["kind"] == "schedule_run":
            value.pop("qc_status", None)
        if told := value.get("qc", {}).get("figures"):
            figures = [one for one in told if is_chosen(one["figure"]["metric"])]
            if len(figures) < len(told):
                value["qc"] = {"figures": figures, "light_paths": []}


def _summary(value: Json) -> None:
    for path in SUMMARY_LEAVES_OUT.get(value["kind"], ()):
        remove(value, path)


def _marks_in(told: Json) -> Json:
    """Return what sites below say they changed, as far as it is said as they say it; anything else is an unknown field."""
    try:
        return {MARK: [one.model_dump(mode="json") for one in _MARKS.validate_python(told[MARK])]}
    except (KeyError, ValidationError):
        return {}


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """Return an object of JSON; one that tells a key twice tells what no model has seen."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return told


def _worst(metrics: list[Json]) -> str:
    statuses = {one["status"] for one in metrics}
    return next((status for status in _WORST_FIRST if status in statuses), "unknown")


def _format_of(path: str) -> str:
    """Return the format that a path's end tells, nothing of its name."""
    known = (".ome.zarr", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".czi", ".nd2", ".lif", ".oir", ".json")
    return next((one for one in known if path.lower().endswith(one)), "")
