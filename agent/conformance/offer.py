"""Which standard properties a kind of device ought to offer.

Names as in Micro-Manager's MMDeviceConstants.h (``Keyword_*``) where it has one. It has none for serial numbers,
firmware or sensor sizes: there any usual spelling counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.conformance.findings import Offer

_IDENTITY = {
    "serial number": r"serial.?(no|num|number)?$|^s/?n$|serial.?(no|num)|CameraID|UniqueID",
    "firmware": r"firmware|^fw|version",
}
_CAMERA = {
    "camera name": r"^CameraName$|^model",
    "exposure": r"^Exposure$",
    "actual exposure": r"^ActualExposure$",
    "binning": r"^Binning$",
    "bit depth": r"bit.?depth|ADC.*bits",
    "pixel type": r"^PixelType$",
    "gain": r"^(EM)?Gain$|gain",
    "offset": r"^Offset$|black.?level",
    "readout mode": r"^ReadoutMode$|scan.?mode|readout.?rate",
    "readout time": r"^ReadoutTime$|readout.?time",
    "temperature": r"^CCDTemperature|temperature",
    "sensor width": r"(ccd|sensor).?(x.?size|width)",
    "sensor height": r"(ccd|sensor).?(y.?size|height)",
}
STANDARD: Mapping[str, Mapping[str, str]] = {
    "CameraDevice": _IDENTITY | _CAMERA,
    "StateDevice": _IDENTITY | {"state": r"^State$", "label": r"^Label$"},
    "ShutterDevice": _IDENTITY | {"state": r"^State$"},
    "StageDevice": _IDENTITY | {"speed": r"speed|velocity"},
    "XYStageDevice": _IDENTITY | {"speed": r"speed|velocity"},
    "AutoFocusDevice": _IDENTITY,
    "MagnifierDevice": _IDENTITY,
    "SLMDevice": _IDENTITY,
    "SignalIODevice": _IDENTITY,
    "GalvoDevice": _IDENTITY,
    "GenericDevice": _IDENTITY,
    "HubDevice": _IDENTITY,
}


def offer_of(device: Mapping[str, Any]) -> Offer | None:
    """Return what a device offers of what is standard for its type; None for a type without a standard.

    >>> offer = offer_of({"label": "W", "device_type": "StateDevice", "library": "", "adapter_name": "",
    ...                   "properties": [{"name": "State"}, {"name": "SerialNumber"}]})
    >>> offer.offered, offer.lacking
    ({'serial number': 'SerialNumber', 'state': 'State'}, ('firmware', 'label'))
    """
    wanted = STANDARD.get(device["device_type"])
    if wanted is None:
        return None
    names = [item["name"] for item in device["properties"]]
    found = {what: _first(pattern, names) for what, pattern in wanted.items()}
    return Offer(
        device["label"],
        device["device_type"],
        device["library"],
        device["adapter_name"],
        {what: name for what, name in found.items() if name},
        tuple(what for what, name in found.items() if not name),
    )


def _first(pattern: str, names: list[str]) -> str | None:
    return next((name for name in names if re.search(pattern, name, re.IGNORECASE)), None)
