"""Which fields of a record may name people or samples, and how they are reached.

Fields are named by the records' models. `tests/server/test_withheld.py` knows every text of every kind that goes up all the same: one
that is new there must be judged.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]

SUMMARIES = frozenset(
    {"instrument", "instrument_profile", "heartbeat", "agent_event", "gap", "qc_result", "acquisition_finished",
     "usage_session", "schedule_run", "dataset_stamp"}
)  # fmt: skip

# A path goes down by key; "*" is every item of a list or value of an object. What it ends at is removed, or replaced where the
# model wants a value.
PEOPLE: dict[str, tuple[Path, ...]] = {
    "usage_session": (("user",), ("logged_in_at",)),
    "schedule_run": (("confirmed_by",),),
    "instrument_profile": (
        ("profile", "people"), ("profile", "rights"), ("profile", "micro_meta"),
        ("profile", "instrument", "owners", "*", "contact"), ("profile", "instrument", "manufacturers", "*", "contact"),
        *((("profile", *place, key)) for place in (("stand",), ("*", "*")) for key in ("nbo", "nbo_null")),
    ),
}  # fmt: skip
TEXTS: dict[str, tuple[Path, ...]] = {
    "acquisition_started": (("plan", "sequence"), ("outputs",)),
    "acquisition_finished": (("plan", "sequence"), ("problems",)),
    "dataset_found": (("facts",), ("problems",)),
    "qc_result": (("remarks",),),
    "agent_event": (("details",),),
    "schedule_run": (("guards",), ("reason",)),
    "heartbeat": (("watch", "away"),),
}
REPLACED: dict[str, tuple[Path, ...]] = {
    "acquisition_finished": (("files", "*", "path"),),
    "dataset_stamp": (("files", "*", "path"), ("files", "*", "sidecar"), ("files", "*", "error")),
    "dataset_found": (("path",), ("completeness_note",)),
    "qc_result": (("inputs", "*", "name"),),
    "agent_event": (("message",),),
    "schedule_plan": (("problem",), ("schedules", "*", "refused")),
}
SUMMARY_LEAVES_OUT: dict[str, tuple[Path, ...]] = {
    "acquisition_finished": (("before",), ("after",), ("changed",), ("images",), ("plan", "sequence")),
}


def remove(value: Any, path: Path) -> None:
    """Remove what a path ends at, wherever it leads to."""
    for holder, key in ends(value, path):
        del holder[key]


def ends(value: Any, path: Path) -> list[tuple[Any, str]]:
    """Return the objects that hold the end of a path, each with its key there.

    >>> ends({"files": [{"path": "a"}, {}]}, ("files", "*", "path"))
    [({'path': 'a'}, 'path')]
    """
    return [(one, path[-1]) for one in _at(value, path[:-1]) if isinstance(one, dict) and path[-1] in one]


def named_properties(value: Json) -> list[tuple[Json, str]]:
    """Return the objects whose keys are names of properties, configuration groups or stated facts, with each of these keys."""
    in_states = () if value["kind"] == "instrument" else (("devices", "*"), ("values", "*"), ("presets",))
    return _keys(value, (*in_states, ("config_groups",), ("stated",)))


def named_settings(value: Json) -> list[tuple[Json, str]]:
    """Return the objects whose keys are ``device-property``, with each of these keys."""
    return _keys(value, (("settings",), ("config_groups", "*", "*")))


def properties_in(setting: str) -> list[str]:
    """Return the names that the property in ``device-property`` may have: both may have hyphens in them.

    >>> properties_in("Stage-1-SampleName")
    ['1-SampleName', 'SampleName']
    """
    parts = setting.split("-")
    return ["-".join(parts[n:]) for n in range(1, len(parts))]


def objects(value: Any) -> list[Json]:
    """Return every object in a value, each before what is in it."""
    found, left = [], [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found.append(one)
        left += _items(one)
    return found


def remove_words(value: Json) -> None:
    """Remove the free words beside quantities and readings: people's notes, and errors in a driver's own words."""
    for one in objects(value):
        if "value" in one and "source" in one:
            one.pop("note", None)
        if "status" in one and "how" in one:
            one.pop("error", None)


def remove_text_parameters(value: Json) -> None:
    """Keep of a routine's parameters what is a number: texts are paths of references, slides' names, and where a fact was found."""
    if value["kind"] == "qc_result" and "parameters" in value:
        value["parameters"] = {
            name: one for name, one in value["parameters"].items() if not isinstance(one, str)
        }


def _keys(value: Json, paths: tuple[Path, ...]) -> list[tuple[Json, str]]:
    tables = [
        one for found in objects(value) for path in paths if path[0] in found for one in _at(found, path)
    ]
    return [(one, key) for one in tables if isinstance(one, dict) for key in one]


def _at(value: Any, path: Path) -> list[Any]:
    """Return all that a path leads to."""
    found = [value]
    for step in path:
        if step == "*":
            found = [one for holder in found for one in _items(holder)]
        else:
            found = [one[step] for one in found if isinstance(one, dict) and step in one]
    return found


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
