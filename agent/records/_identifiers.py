"""Identifiers of organisations, people, facilities and things: what they must look like, checked offline.

Each check returns the identifier in its preferred form, or raises ValueError with what was expected.
ROR and ORCID carry a check number; DOI, Handle and RRID have none, so that only their form can be judged.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_ROR = re.compile(r"(?:https?://)?(?:ror\.org/)?(0[a-hj-km-np-tv-z0-9]{6})([0-9]{2})", re.IGNORECASE)
_ORCID = re.compile(r"(?:https?://orcid\.org/)?((?:[0-9]{4}-){3}[0-9]{3}[0-9X])", re.IGNORECASE)
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}(?:\.[0-9]+)*/\S+)", re.IGNORECASE)
_HANDLE = re.compile(r"(?:https?://hdl\.handle\.net/|hdl:)?([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*/\S+)")
_RRID = re.compile(r"(?:https?://scicrunch\.org/resolver/)?(?:RRID:)?\s?([A-Za-z]+[_:][A-Za-z0-9_:.-]+)")
_SCR = re.compile(r"SCR_[0-9]{6,7}")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def ror(value: str) -> str:
    """Return a ROR as an address; its last two digits are a check number (ISO 7064, MOD 97-10).

    >>> ror("05a28rw58")
    'https://ror.org/05a28rw58'
    """
    match = _ROR.fullmatch(value.strip())
    if match is None:
        raise ValueError("a ROR such as https://ror.org/05a28rw58")
    body, check = match[1].lower(), match[2]
    number = 0
    for letter in body:
        number = number * 32 + _CROCKFORD.index(letter)
    if 98 - number * 100 % 97 != int(check):
        raise ValueError(f"a ROR whose check digits fit; '{body}{check}' has a typing error")
    return f"https://ror.org/{body}{check}"


def orcid(value: str) -> str:
    """Return an ORCID as an address; its last character is a check digit (ISO 7064, MOD 11-2).

    >>> orcid("0000-0002-1825-0097")
    'https://orcid.org/0000-0002-1825-0097'
    """
    match = _ORCID.fullmatch(value.strip())
    if match is None:
        raise ValueError("an ORCID such as https://orcid.org/0000-0002-1825-0097")
    text = match[1].upper()
    total = 0
    for digit in text[:-1].replace("-", ""):
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if text[-1] != ("X" if check == 10 else str(check)):
        raise ValueError(f"an ORCID whose check digit fits; '{text}' has a typing error")
    return f"https://orcid.org/{text}"


def doi(value: str) -> str:
    """Return a DOI as an address.

    >>> doi("doi:10.5442/NI000001")
    'https://doi.org/10.5442/NI000001'
    """
    match = _DOI.fullmatch(value.strip())
    if match is None:
        raise ValueError("a DOI such as https://doi.org/10.5442/NI000001")
    return f"https://doi.org/{match[1]}"


def handle(value: str) -> str:
    """Return a Handle as an address.

    >>> handle("21.T11998/0000-001A-3905-F")
    'https://hdl.handle.net/21.T11998/0000-001A-3905-F'
    """
    match = _HANDLE.fullmatch(value.strip())
    if match is None or ("." not in match[1].split("/")[0] and not match[1][0].isdigit()):
        raise ValueError("a Handle such as 21.T11998/0000-001A-3905-F")
    return f"https://hdl.handle.net/{match[1]}"


def rrid(value: str) -> str:
    """Return an RRID with its prefix; facilities have the form SCR_ and six or seven digits.

    >>> rrid("SCR_018315")
    'RRID:SCR_018315'
    """
    match = _RRID.fullmatch(value.strip())
    if match is None or (match[1].upper().startswith("SCR_") and not _SCR.fullmatch(match[1])):
        raise ValueError("an RRID such as RRID:SCR_018315")
    return f"RRID:{match[1]}"


def pid(value: str) -> str:
    """Return a DOI, a Handle or another web address that names a thing for good.

    >>> pid("10.5442/NI000001")
    'https://doi.org/10.5442/NI000001'
    """
    text = value.strip()
    if _DOI.fullmatch(text):
        return doi(text)
    if text.upper().startswith("RRID:"):
        return rrid(text)
    if "handle.net" in text or text.startswith("hdl:") or _HANDLE.fullmatch(text):
        return handle(text)
    if re.fullmatch(r"https?://[^\s/]+\S*|urn:\S+", text):
        return text
    raise ValueError("a DOI, a Handle, an RRID or a web address")


def kind_of_pid(value: str) -> str:
    """Return what `pid` is, in PIDINST's words: DOI, Handle, RRID, URN or URL.

    >>> kind_of_pid("https://doi.org/10.5442/NI000001")
    'DOI'
    """
    starts = {
        "https://doi.org/": "DOI",
        "https://hdl.handle.net/": "Handle",
        "RRID:": "RRID",
        "urn:": "URN",
    }
    return next((kind for start, kind in starts.items() if value.startswith(start)), "URL")


def web_address(value: str) -> str:
    """Return an address that begins with https:// or http://.

    >>> web_address("https://example.org/m1")
    'https://example.org/m1'
    """
    if not re.fullmatch(r"https?://[^\s/]+\S*", value.strip()):
        raise ValueError("an address that begins with https:// or http://")
    return value.strip()


Ror = Annotated[str, AfterValidator(ror)]
Orcid = Annotated[str, AfterValidator(orcid)]
Rrid = Annotated[str, AfterValidator(rrid)]
Pid = Annotated[str, AfterValidator(pid)]
Doi = Annotated[str, AfterValidator(doi)]
WebAddress = Annotated[str, AfterValidator(web_address)]
