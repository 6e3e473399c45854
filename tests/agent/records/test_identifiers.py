"""Identifiers, checked offline: form and check digits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.records import _identifiers as ids


@pytest.mark.parametrize("text", ["05a28rw58", "https://ror.org/03vek6s52", "ror.org/02nr0ka47", "042NB2S44"])
def test_ror_takes_real_ones(text: str) -> None:
    assert ids.ror(text).startswith("https://ror.org/0")


@pytest.mark.parametrize("text", ["0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X"])
def test_orcid_takes_real_ones(text: str) -> None:
    assert ids.orcid(text).startswith("https://orcid.org/")


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (ids.ror, "05a28rw59"),
        (ids.ror, "05a82rw58"),  # two letters in the wrong order
        (ids.ror, "15a28rw58"),
        (ids.ror, "05a28rwo8"),
        (ids.orcid, "0000-0002-1825-0096"),
        (ids.orcid, "0000-0002-1694-2330"),
        (ids.orcid, "0000-0002-1825-009"),
        (ids.doi, "11.5442/NI000001"),
        (ids.doi, "https://doi.org/10.5442/"),
        (ids.handle, "no handle"),
        (ids.rrid, "RRID:SCR_1"),
        (ids.rrid, "RRID"),
        (ids.pid, "somewhere"),
        (ids.web_address, "ftp://x.org"),
    ],
)
def test_wrong_identifier_is_refused(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError, match=r"^(a|an) "):
        check(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("10.5442/NI000001", "DOI"),
        ("21.T11998/0000-001A-3905-F", "Handle"),
        ("RRID:SCR_018315", "RRID"),
        ("https://example.org/m", "URL"),
        ("urn:uuid:1", "URN"),
    ],
)
def test_pid_knows_its_kind(text: str, kind: str) -> None:
    assert ids.kind_of_pid(ids.pid(text)) == kind
