"""What of a record goes up. Whatever is not known to be harmless is withheld; what is changed says so.

The rules name fields of the records' models. A record of a kind or version that is not known here cannot be judged, and is withheld
wholly as soon as people or samples are; so is a field that the model does not know.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from agent.records import Record, RecordError, canonical_json, decode_tolerant
from server.forwarding.protocol import MARK, Filtered
from server.settings import UpstreamSettings

SUMMARIES = frozenset(
    {"instrument", "instrument_profile", "heartbeat", "agent_event", "gap", "qc_result", "acquisition_finished",
     "usage_session", "schedule_run", "dataset_stamp"}
)  # fmt: skip
_WITHHELD = "withheld"
_NAMES = ("path", "sidecar", "name")

Json = dict[str, Any]
_Path = tuple[str, ...]

# A path goes down by key; "*" is every item of a list or value of an object. What it ends at is removed, or replaced where the
# model wants a value.
_PEOPLE: dict[str, tuple[_Path, ...]] = {
    "usage_session": (("user",),),
    "schedule_run": (("confirmed_by",),),
    "instrument_profile": (
        ("profile", "people"), ("profile", "rights"), ("profile", "micro_meta"),
        ("profile", "instrument", "owners", "*", "contact"),
    ),
}  # fmt: skip
_TEXTS: dict[str, tuple[_Path, ...]] = {
    "acquisition_started": (("plan", "sequence"), ("outputs",)),
    "acquisition_finished": (("plan", "sequence"), ("problems",)),
    "dataset_found": (("facts",), ("problems",)),
    "qc_result": (("remarks",),),
    "agent_event": (("details",),),
    "schedule_run": (("guards",), ("reason",)),
    "heartbeat": (("watch", "away"),),
}
_REPLACED: dict[str, tuple[_Path, ...]] = {
    "acquisition_finished": (("files", "*", "path"),),
    "dataset_stamp": (("files", "*", "path"), ("files", "*", "sidecar"), ("files", "*", "error")),
    "dataset_found": (("path",), ("completeness_note",)),
    "qc_result": (("inputs", "*", "name"),),
    "agent_event": (("message",),),
}
_SUMMARY_LEAVES_OUT: dict[str, tuple[_Path, ...]] = {
    "acquisition_finished": (("before",), ("after",), ("changed",), ("images",), ("plan", "sequence")),
}


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
        self._thinned = {
            "state_snapshot": timedelta(seconds=settings.snapshots_every_s),
            "heartbeat": timedelta(seconds=settings.heartbeats_every_s),
        }
        self._last: dict[tuple[str, str], datetime] = {}
        self._filters: tuple[tuple[str, bool, Callable[[Json], None]], ...] = (
            ("people", settings.withhold_people, self._without_people),
            ("samples", settings.withhold_samples, self._without_samples),
            ("properties", self._is_strict, self._without_properties),
            ("summaries", settings.summaries_only, _summary),
            ("metrics", bool(settings.metrics), self._chosen_metrics),
        )

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
            record = decode_tolerant(raw)
        except (RecordError, OverflowError):
            return None if self._is_strict or self._settings.summaries_only or self._settings.kinds else raw
        kind = str(record.model_dump(include={"kind"})["kind"])
        if not self._wants(kind) or self._is_too_soon(kind, record):
            return None
        return self._changed(raw, record)

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

    def _changed(self, raw: bytes, record: Record) -> bytes | None:
        told = json.loads(raw)
        marks = told.pop(MARK, [])
        value = record.model_dump(mode="json", exclude_none=True) if self._is_strict else json.loads(raw)
        value.pop(MARK, None)
        names = ["unknown fields"] if value != told else []
        for name, is_on, apply in self._filters:
            before = json.dumps(value, sort_keys=True) if is_on else ""
            if is_on:
                apply(value)
            if is_on and json.dumps(value, sort_keys=True) != before:
                names.append(name)
        if self._settings.metrics and value["kind"] == "qc_result" and not value["metrics"]:
            return None
        if not names:
            return raw
        mark = Filtered(
            by=self._collector_id, filters=tuple(names), original_sha256=hashlib.sha256(raw).hexdigest()
        )
        return canonical_json({**value, MARK: [*marks, mark.model_dump()]})

    def _without_people(self, value: Json) -> None:
        kind = value["kind"]
        if kind == "usage_session" and "user" in value:
            value["user_name"] = "omitted"
        for path in (*_PEOPLE.get(kind, ()), *_TEXTS.get(kind, ())):
            _remove(value, path)
        for path in _REPLACED.get(kind, ()):
            self._replace(value, path)

    def _without_samples(self, value: Json) -> None:
        for path in _TEXTS.get(value["kind"], ()):
            _remove(value, path)
        for path in _REPLACED.get(value["kind"], ()):
            self._replace(value, path)

    def _without_properties(self, value: Json) -> None:
        """Withhold what devices are told of people and samples, wherever a state or a change tells it."""
        for found in _objects(value):
            if isinstance(found.get("devices"), dict) and value["kind"] != "instrument":
                for device in found["devices"].values():
                    if isinstance(device, dict):
                        for name in [one for one in device if self._is_withheld(one)]:
                            del device[name]
            if (
                "property" in found
                and isinstance(found.get("after"), dict)
                and self._is_withheld(found["property"])
            ):
                for end in ("before", "after"):
                    self._replace(found, (end, "value"))
        if value["kind"] == "frame_ledger":
            for state in value["states"]:
                for device in state["values"].values():
                    for name in [one for one in device if self._is_withheld(one)]:
                        del device[name]

    def _replace(self, value: Any, path: _Path) -> None:
        for holder, key in _ends(value, path):
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
            value["metrics"] = [one for one in value["metrics"] if is_chosen(one["metric"])]
        if "figures" in (value.get("qc") or {}):
            value["qc"]["figures"] = [
                one for one in value["qc"]["figures"] if is_chosen(one["figure"]["metric"])
            ]


def _summary(value: Json) -> None:
    for path in _SUMMARY_LEAVES_OUT.get(value["kind"], ()):
        _remove(value, path)


def _remove(value: Any, path: _Path) -> None:
    for holder, key in _ends(value, path):
        del holder[key]


def _format_of(path: str) -> str:
    """Return the format that a path's end tells, nothing of its name."""
    known = (".ome.zarr", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".czi", ".nd2", ".lif", ".oir", ".json")
    return next((one for one in known if path.lower().endswith(one)), "")


def _ends(value: Any, path: _Path) -> list[tuple[Any, str]]:
    """Return the objects that hold the end of a path, each with its key there."""
    holders = [value]
    for step in path[:-1]:
        if step == "*":
            holders = [one for holder in holders for one in holder]
        else:
            holders = [one[step] for one in holders if isinstance(one, dict) and step in one]
    return [(one, path[-1]) for one in holders if isinstance(one, dict) and path[-1] in one]


def _objects(value: Any) -> Iterable[Json]:
    if isinstance(value, dict):
        yield value
        for one in list(value.values()):
            yield from _objects(one)
    elif isinstance(value, list):
        for one in value:
            yield from _objects(one)
