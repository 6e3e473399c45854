"""What a label says of the part it names: 'Nikon 40X Plan Fluor ELWD 0.60', 'Chroma-HQ535', '525/50', 'ZT488rdc'.

Everything found here is a guess, and marked so.
"""

from __future__ import annotations

import re
from typing import Any

_MAKERS = (
    "Nikon", "Olympus", "Evident", "Zeiss", "Leica", "Mitutoyo", "Chroma", "Semrock", "Omega", "Thorlabs", "Edmund",
    "Hamamatsu", "Andor", "Photometrics", "PCO", "Teledyne", "Basler", "FLIR", "ASI", "Prior", "Marzhauser", "Lumencor",
    "CoolLED", "Excelitas", "Coherent", "Cobolt", "Toptica", "Vortran", "Omicron", "PI",
)  # fmt: skip
# longest first, so that 'Plan Apo' is not read as 'Plan'
_CORRECTIONS = {
    "Plan Apochromat": "PlanApochromat", "PlanApochromat": "PlanApochromat", "UPlanSApo": "UPlanApo",
    "UPlanApo": "UPlanApo", "Plan-Apo": "PlanApo", "Plan Apo": "PlanApo", "PlanApo": "PlanApo",
    "Plan Neofluar": "PlanNeofluar", "Plan-Neofluar": "PlanNeofluar", "UPlanFl": "UPlanFl", "Plan Fluor": "PlanFluor",
    "PlanFluor": "PlanFluor", "Plan Fl": "PlanFluor", "Super Fluor": "SuperFluor", "S Fluor": "Fluor",
    "Neofluar": "Neofluar", "Fluotar": "Fluotar", "Fluar": "Fluar", "C-Achroplan": "C-Achroplan",
    "Achroplan": "Achroplan", "Achromat": "Achromat", "Apochromat": "Apochromat", "Apo": "Apo", "Fluor": "Fluor",
    "Achro": "Achro", "Plan": "Plan",
}  # fmt: skip
_IMMERSIONS = {
    r"sil(?:icone)?(?: ?oil)?": "silicone_oil",
    r"oil|oel|öl": "oil",
    r"water|wasser|w(?:i|atr)?": "water",
    r"glyc?(?:erol)?": "glycerol",
    r"dip(?:ping)?": "dipping",
    r"air|dry|elwd|slwd|lwd|ld": "air",
}
_MAGNIFICATION = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,2})?)\s?[x×X](?![a-z])")
_NA = re.compile(r"(?:NA\s?=?\s?|/|\s)([01]\.\d{1,3})(?!\d)")
_BAND = re.compile(r"(?<!\d)(\d{3,4})\s?/\s?(\d{1,3})(?!\d)")
_RANGE = re.compile(r"(?<!\d)(\d{3,4})\s?-\s?(\d{3,4})(?!\d)")
_LONG = re.compile(r"(?:LP\s?(\d{3,4})|(?<!\d)(\d{3,4})\s?(?:DC)?LP)", re.IGNORECASE)
_SHORT = re.compile(r"(?:SP\s?(\d{3,4})|(?<!\d)(\d{3,4})\s?SP)", re.IGNORECASE)


def objective_in(label: str) -> dict[str, Any]:
    """Return what the label of an objective says.

    >>> objective_in("Nikon 40X Plan Fluor ELWD 0.60")["na"]
    0.6
    """
    found: dict[str, Any] = {"manufacturer": maker_in(label)}
    if magnification := _MAGNIFICATION.search(label):
        found["magnification"] = float(magnification[1])
    if na := _NA.search(label):
        found["na"] = float(na[1])
    low = label.lower()
    found["correction"] = next((word for text, word in _CORRECTIONS.items() if text.lower() in low), None)
    found["immersion"] = next(
        (word for text, word in _IMMERSIONS.items() if re.search(rf"(?<![a-zö])(?:{text})(?![a-zö])", low)),
        None,
    )
    if phase := re.search(r"\bph\s?([123])\b", low):
        found["modulation"] = f"ph{phase[1]}"
    if re.search(r"\bDIC\b", label):
        found["has_dic"] = True
    return {key: value for key, value in found.items() if value is not None}


def filter_in(label: str) -> dict[str, Any]:
    """Return what the label of a filter or dichroic says.

    >>> filter_in("525/50")["bands"]
    [{'cut_on_nm': 500.0, 'cut_off_nm': 550.0}]
    """
    found: dict[str, Any] = {"manufacturer": maker_in(label), **_bands_in(label)}
    model = re.sub(rf"^(?:{'|'.join(_MAKERS)})[-_ ]+", "", label)
    if any(letter.isdigit() for letter in model):
        found["model"] = model
    return {key: value for key, value in found.items() if value is not None}


def _bands_in(label: str) -> dict[str, Any]:
    bands = [
        {"cut_on_nm": int(centre) - int(width) / 2, "cut_off_nm": int(centre) + int(width) / 2}
        for centre, width in _BAND.findall(label)
    ] or [
        {"cut_on_nm": float(low), "cut_off_nm": float(high)}
        for low, high in _RANGE.findall(label)
        if float(low) < float(high)
    ]
    if bands:
        return {"bands": bands, "filter_type": "band_pass" if len(bands) == 1 else "multi_pass"}
    if edge := _LONG.search(label):
        return {"bands": [{"cut_on_nm": float(edge[1] or edge[2])}], "filter_type": "long_pass"}
    if edge := _SHORT.search(label):
        return {"bands": [{"cut_off_nm": float(edge[1] or edge[2])}], "filter_type": "short_pass"}
    return {}


def maker_in(text: str) -> str | None:
    """Return a maker that is named.

    >>> maker_in("Chroma-HQ535")
    'Chroma'
    """
    return next((maker for maker in _MAKERS if re.search(rf"\b{maker}\b", text, re.IGNORECASE)), None)


def wavelength_in(text: str) -> float | None:
    """Return a wavelength that is named.

    >>> wavelength_in("385nm"), wavelength_in("Laser 561")
    (385.0, 561.0)
    """
    found = re.search(r"(?<!\d)([3-9]\d{2}|1[0-6]\d{2})\s?(?:nm)?(?!\d)", text)
    return float(found[1]) if found else None


def is_empty(label: str) -> bool:
    """Whether a label says that nothing is there, or nothing of what is there.

    >>> is_empty("Objective-5"), is_empty("Empty"), is_empty("Chroma-HQ535")
    (True, True, False)
    """
    return bool(
        re.fullmatch(
            r"(?:\w+[-_ ])?(?:state|position|pos|objective|filter)[-_ ]?\d+|empty|open|none|closed|\d*",
            label.strip(),
            re.IGNORECASE,
        )
    )
