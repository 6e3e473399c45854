"""Which instruments a person is let near: all, those of some sites, or some by name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from server.errors import SettingsError
from server.sites import is_within
from server.store.rows import Instrument


@dataclass(frozen=True, slots=True)
class Scope:
    """Sites and instruments; everything when `is_limited` is false, nothing when it is true and both are empty."""

    sites: frozenset[str] = frozenset()
    instruments: frozenset[str] = frozenset()
    is_limited: bool = False

    @classmethod
    def of(cls, sites: Iterable[str] = (), instruments: Iterable[str] = ()) -> Scope:
        """Return a scope limited to what is named."""
        return cls(frozenset(sites), frozenset(instruments), is_limited=True)

    @classmethod
    def kept(cls, text: str) -> Scope:
        """Return the scope in the text that `text` made.

        >>> Scope.kept(Scope.of(["Basel"]).text).sites
        frozenset({'Basel'})
        """
        if not text:
            return EVERYTHING
        told = json.loads(text)
        return cls.of(told["sites"], told["instruments"])

    @property
    def text(self) -> str:
        """The scope as a store keeps it; empty for everything."""
        if not self.is_limited:
            return ""
        return json.dumps({"sites": sorted(self.sites), "instruments": sorted(self.instruments)})

    def has(self, instrument: Instrument) -> bool:
        """Return whether the instrument is within it."""
        return (
            not self.is_limited
            or is_within(instrument.site, self.sites)
            or instrument.instrument_id in self.instruments
        )

    def has_site(self, site: str) -> bool:
        """Return whether a whole site is within it."""
        return not self.is_limited or is_within(site, self.sites)

    def covers(self, other: Scope) -> bool:
        """Return whether whoever has this scope may give the other one to somebody."""
        if not self.is_limited:
            return True
        return (
            other.is_limited
            and all(map(self.has_site, other.sites))
            and other.instruments <= self.instruments
        )

    def __str__(self) -> str:
        if not self.is_limited:
            return "everything"
        return ", ".join([*sorted(self.sites), *sorted(self.instruments)]) or "nothing"


EVERYTHING = Scope()


def checked_scope(sites: Iterable[str], instruments: Iterable[str], role: str) -> Scope:
    """Return the scope for a role; without names everything, which a vendor cannot have.

    Raises
    ------
    SettingsError
        A vendor without named instruments.
    """
    wanted = Scope.of(filter(None, sites), filter(None, instruments))
    if role == "vendor" and not (wanted.instruments or wanted.sites):
        raise SettingsError(
            "A vendor needs the names of the instruments that may be seen; name at least one."
        )
    return wanted if wanted.sites or wanted.instruments else EVERYTHING
