"""An acquisition as NeXus groups: as JSON, or as an HDF5 file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from agent.exports.catalogue_texts import key_values
from agent.exports.facts import image_name, text_of
from agent.exports.view import AcquisitionView

_INT64 = range(-(2**63), 2**63)


def nexus(view: AcquisitionView) -> dict[str, Any]:
    """Return an acquisition as a tree of NeXus groups; ``@`` begins an attribute.

    NeXus has no application definition for light microscopy, so that base classes are used: NXinstrument,
    NXfabrication, NXdetector, NXfilter, NXsource, NXoptical_lens.
    """
    finished = view.bundle.finished
    instrument: dict[str, Any] = {
        "@NX_class": "NXinstrument",
        "name": view.bundle.profile.instrument.name or finished.instrument_id,
    }
    if view.bundle.profile.stand:
        instrument["fabrication"] = _fabrication(view.bundle.profile.stand)
    if view.objective:
        instrument["objective"] = _group("NXoptical_lens", view.objective, {"magnification": "", "na": ""})
    for number, camera in enumerate(view.cameras, start=1):
        units = {"pixel_width_um": "um", "pixel_height_um": "um", "bit_depth": "", "detector_type": ""}
        name = f"detector_{number}" if number > 1 else "detector"
        instrument[name] = _group("NXdetector", camera, units)
    for channel in view.channels:
        for key in ("excitation", "dichroic", "emission"):
            if (part := getattr(channel, key)) is not None:
                instrument[f"filter_{part.name}".replace("/", "_")] = _filter(part)
        if channel.light:
            instrument[f"source_{channel.light.name}".replace("/", "_")] = _group(
                "NXsource", channel.light, {"source_type": ""}
            )
    return {
        "entry": {
            "@NX_class": "NXentry",
            "title": image_name(view),
            "entry_identifier_uuid": str(finished.acquisition_id),
            "start_time": finished.started.wall_at.isoformat(),
            "end_time": finished.finished.wall_at.isoformat(),
            "instrument": instrument,
            "parameters": {"@NX_class": "NXparameters"} | key_values(view),
        }
    }


def _fabrication(part: Any) -> dict[str, Any]:
    found = {"vendor": part.manufacturer, "model": part.model, "serial_number": part.serial_number}
    return {"@NX_class": "NXfabrication"} | {key: value for key, value in found.items() if value}


def _group(nx_class: str, part: Any, units: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {"@NX_class": nx_class, "name": part.name, "fabrication": _fabrication(part)}
    for field, unit in units.items():
        if (value := getattr(part, field)) is not None:
            out[field] = {"value": value, "@units": unit} if unit else value
    return out


def _filter(part: Any) -> dict[str, Any]:
    out = _group("NXfilter", part, {"role": "", "filter_type": ""})
    for number, band in enumerate(part.bands, start=1):
        for field in ("cut_on_nm", "cut_off_nm"):
            if (value := getattr(band, field)) is not None:
                out[f"band_{number}_{field}"] = {"value": value, "@units": "nm"}
    return out


def nexus_hdf5(view: AcquisitionView) -> bytes:
    """Return the same groups as a NeXus file (HDF5), to be linked to or merged with the images of another writer."""
    import h5py  # a tenth of a second, for this format alone

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["NX_class"] = "NXroot"
        file.attrs["default"] = "entry"
        _put(file, nexus(view))
    return stream.getvalue()


def _put(group: Any, tree: Mapping[str, Any]) -> None:
    """Write a tree into an HDF5 group: ``@`` is an attribute, a mapping a group, or a dataset where it holds a value."""
    for key, item in tree.items():
        name = _plain(key.replace("/", "|"))  # a slash would begin another group
        if key.startswith("@"):
            group.attrs[name[1:]] = _value(item)
        elif not isinstance(item, Mapping):
            group[name] = _value(item)
        elif "value" in item:
            group[name] = _value(item["value"])
            _put(group[name], {at: text for at, text in item.items() if at != "value"})
        else:
            _put(group.create_group(name), item)


def _value(value: Any) -> Any:
    is_number = isinstance(value, float) or (isinstance(value, int) and value in _INT64)
    return value if isinstance(value, bool) or is_number else _plain(text_of(value))


def _plain(text: str) -> str:
    """Return a text as HDF5 holds it: UTF-8 without the character that ends texts there."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
