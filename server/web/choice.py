"""Which instruments a page is about: those of a site, of a group, of a name; all of them, or some at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query

from server.order import natural
from server.quality.calendar import has_schedule
from server.quality.schedules import groups, kept_schedules
from server.sites import is_within, places_of
from server.store.base import Reads
from server.store.rows import Instrument

PAGE = 20

_Short = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for; what is empty does not matter."""

    text: str = ""
    site: str = ""
    group: str = ""
    after: str = ""

    def takes(self, one: Instrument, members: Mapping[str, Sequence[str]]) -> bool:
        """Return whether an instrument is one of them."""
        wanted = self.text.casefold()
        return (
            (not self.site or is_within(one.site, (self.site,)))
            and (not self.group or one.instrument_id in members.get(self.group, ()))
            and (not wanted or wanted in f"{one.name}\n{one.instrument_id}\n{one.site}".casefold())
        )

    def link_on(self, path: str, **given: Any) -> Callable[..., str]:
        """Return a function that makes an address of a page with what was asked, and different where said."""
        asked = {"q": self.text, "site": self.site, "group": self.group, **given}

        def link(**different: Any) -> str:
            told = {name: value for name, value in {**asked, **different}.items() if value}
            return f"{path}?{urlencode(told)}" if told else path

        return link


def asked_for(q: _Short = "", site: _Short = "", group: _Short = "", after: _Short = "") -> Asked:
    """Return what an address asks for."""
    return Asked(q.strip(), site, group, after)


TheChoice = Annotated[Asked, Depends(asked_for)]


@dataclass(frozen=True, slots=True)
class Choice:
    """A page of the instruments asked for, and what may be asked for."""

    asked: Asked
    instruments: tuple[Instrument, ...]
    n_found: int
    after: str
    sites: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def ids(self) -> frozenset[str]:
        """The instruments, by their identifiers."""
        return frozenset(one.instrument_id for one in self.instruments)

    @property
    def is_narrowed(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.asked.text or self.asked.site or self.asked.group)


def choice_of(reads: Reads, asked: Asked) -> Choice:
    """Return the page of instruments behind `asked.after`: those that a schedule here is for first, then by name."""
    whole = whole_choice(reads, asked)
    scheduled = has_schedule(kept_schedules(reads), groups(reads))

    def place(one: Instrument) -> tuple[bool, tuple[str | int, ...], str]:
        return one.instrument_id not in scheduled, natural(one.name), one.instrument_id

    found = sorted(whole.instruments, key=place)
    last = next((one for one in found if one.instrument_id == asked.after), None)
    rest = found if last is None else [one for one in found if place(one) > place(last)]
    shown = rest[:PAGE]
    after = shown[-1].instrument_id if len(rest) > PAGE else ""
    return replace(whole, instruments=tuple(shown), after=after)


def whole_choice(reads: Reads, asked: Asked) -> Choice:
    """Return all instruments asked for, of whatever page."""
    everything, members = reads.instruments(), groups(reads)
    found = tuple(one for one in everything if asked.takes(one, members))
    return Choice(
        asked=asked,
        instruments=found,
        n_found=len(found),
        after="",
        sites=tuple(sorted({place for one in everything for place in places_of(one.site) if place})),
        groups=tuple(sorted(members)),
    )
