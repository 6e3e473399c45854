"""Values of our parts as 4DN-BINA-OME writes them, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.exports.mapping import Mapping as NboMapping
from agent.exports.mapping import NboField
from agent.records import Band, Emission, Part

Refs = Mapping[str, str]
"""Name of a part to its id."""


def to_nbo(
    mapping: NboMapping, field: NboField, value: Any, extras: Mapping[str, Any], refs: Refs
) -> dict[str, Any]:
    """Return one of our values under NBO's key, with its unit beside it where the standard has a place for one.

    Parameters
    ----------
    mapping : Mapping
        The mapping.
    field : NboField
        Which field.
    value : object
        Ours, not None.
    extras : mapping
        What the part holds under NBO's own names; a unit that stands there is kept.
    refs : mapping
        Names of parts to their ids.
    """
    if field.terms:
        word = mapping.term(field.terms, value, "nbo")
        return {field.key: word} if word else {}
    if field.convert:
        found = _CONVERTERS[field.convert][0](value, field, refs)
        return {} if found is None else {field.key: found}
    if not field.unit:
        return {field.key: value}
    units = mapping.units[field.unit]
    unit = extras.get(field.unit_key) if extras.get(field.unit_key) in units else _default_unit(units)
    scaled = tidy(value / units[unit])
    out: dict[str, Any] = {field.key: round(scaled) if field.whole else scaled}
    return out | ({field.unit_key: unit} if field.unit_key else {})


def from_nbo(mapping: NboMapping, field: NboField, raw: Mapping[str, Any], names: Refs) -> Any:
    """Return the value of an NBO field as ours; None when ours cannot hold it.

    `names` are ids of parts to their names.
    """
    value = raw.get(field.key)
    if value is None:
        return None
    if field.terms:
        return mapping.our_term(field.terms, value)
    if field.convert:
        return _CONVERTERS[field.convert][1](value, raw, names)
    if not field.unit:
        return value
    units = mapping.units[field.unit]
    unit = raw.get(field.unit_key, _default_unit(units)) if field.unit_key else _default_unit(units)
    if unit not in units or isinstance(value, bool | str):
        return None
    return tidy(float(value) * units[unit])


def _default_unit(units: Mapping[str, float]) -> str:
    return next(unit for unit, factor in units.items() if factor == 1.0)


def tidy(value: float) -> float:
    """Return a number without the dust of a change of unit.

    >>> tidy(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.12g}")


def _bands_to(value: tuple[Band, ...], field: NboField, refs: Refs) -> list[dict[str, Any]]:
    return [_band_to(band) for band in value]


def _band_to(band: Band) -> dict[str, Any]:
    """Return centre and width of a band; an edge has width 0."""
    edges = [edge for edge in (band.cut_on_nm, band.cut_off_nm) if edge is not None]
    out: dict[str, Any] = {
        "Wavelength": tidy(sum(edges) / len(edges)),
        "FWHMBandwidth": tidy(edges[-1] - edges[0]),
        "WavelengthUnit": "nm",
    }
    return out | ({} if band.transmittance is None else {"Transmittance": band.transmittance})


def _bands_from(value: Any, raw: Mapping[str, Any], names: Refs) -> list[dict[str, Any]] | None:
    if not isinstance(value, list) or any(item.get("WavelengthUnit", "nm") != "nm" for item in value):
        return None
    bands = []
    for item in value:
        centre, width = item.get("Wavelength"), item.get("FWHMBandwidth")
        if not centre:
            return None
        band: dict[str, Any] = {"transmittance": item.get("Transmittance")}
        if width:
            band |= {"cut_on_nm": tidy(centre - width / 2), "cut_off_nm": tidy(centre + width / 2)}
        else:
            band["cut_off_nm" if raw.get("Type") == "ShortPass" else "cut_on_nm"] = float(centre)
        bands.append({key: number for key, number in band.items() if number is not None})
    return bands


_EMISSION = {
    "power_mw": ("IlluminationPower", "mW"),
    "peak_nm": ("PeakWavelength", "nm"),
    "cut_on_nm": ("CutOn", "nm"),
    "cut_off_nm": ("CutOff", "nm"),
}


def _emissions_to(value: tuple[Emission, ...], field: NboField, refs: Refs) -> list[dict[str, Any]]:
    out = []
    for emission in value:
        row: dict[str, Any] = {}
        for ours, (theirs, unit) in _EMISSION.items():
            if (number := getattr(emission, ours)) is not None:
                row |= {theirs: number, f"{theirs}Unit": unit}
        out.append(row)
    return out


def _emissions_from(value: Any, raw: Mapping[str, Any], names: Refs) -> list[dict[str, Any]] | None:
    if not isinstance(value, list):
        return None
    out = []
    for item in value:
        known = {ours: item.get(theirs) for ours, (theirs, _) in _EMISSION.items()}
        if any(item.get(f"{theirs}Unit", unit) != unit for theirs, unit in _EMISSION.values()):
            return None
        out.append({ours: float(number) for ours, number in known.items() if number is not None})
    return out


def _bits_to(value: int, field: NboField, refs: Refs) -> str | None:
    return f"{value}bit" if value in (8, 12, 14, 16, 32, 64) else None


def _bits_from(value: Any, raw: Mapping[str, Any], names: Refs) -> int | None:
    digits = str(value).removesuffix("bit")
    return int(digits) if digits.isdigit() else None


def _part_to(value: str, field: NboField, refs: Refs) -> str | None:
    return f"{field.key}/{refs[value]}" if value in refs else None


def _part_from(value: Any, raw: Mapping[str, Any], names: Refs) -> str | None:
    return names.get(str(value).rpartition("/")[2])


_CONVERTERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "bands": (_bands_to, _bands_from),
    "emissions": (_emissions_to, _emissions_from),
    "bits": (_bits_to, _bits_from),
    "part": (_part_to, _part_from),
}


def stated_fields(part: Part, fields: tuple[NboField, ...]) -> list[tuple[NboField, Any]]:
    """Return the fields of a class that a part states, each with our value."""
    have = [(field, getattr(part, field.attribute, None)) for field in fields if field.attribute]
    return [(field, value) for field, value in have if value not in (None, ())]
