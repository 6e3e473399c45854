"""A whole state from one string: ``Configuration.getVerbose``.

It reads ``<html>Device:Property=value<br>…</html>`` and escapes nothing: a value may hold ``=``, ``:``, ``<br>`` or a new line,
and so may a label. So it is not split at these signs but at the devices and properties that are known to be in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from drivers.readings import Key

START, END, BETWEEN = "<html>", "</html>", "<br>"


def parse_verbose(text: str, known: Iterable[Key]) -> dict[Key, str]:
    """Return the values in `text` of the keys that are known.

    A value that itself looks like the beginning of another known key's entry is taken for one; all that Micro-Manager gives
    are in a fixed order, so the first place is the true one where a key comes twice.

    Examples
    --------
    >>> keys = [Key("Cam", "Gain"), Key("Cam", "Note")]
    >>> parse_verbose("<html>Cam:Gain=2<br>Cam:Note=a=b:c <br>d<br></html>", keys)
    {Key(device='Cam', property='Gain'): '2', Key(device='Cam', property='Note'): 'a=b:c <br>d'}
    """
    heads = {f"{key.device}:{key.property}=": key for key in known}
    if not heads:
        return {}
    body = text.removeprefix(START).removesuffix(END)
    longest_first = "|".join(re.escape(head) for head in sorted(heads, key=len, reverse=True))
    found = list(re.finditer(f"(?:(?<=^)|(?<={BETWEEN}))(?:{longest_first})", body))
    values: dict[Key, str] = {}
    for place, following in zip(found, [*found[1:], None], strict=True):
        end = following.start() if following else len(body)
        values.setdefault(heads[place[0]], body[place.end() : end].removesuffix(BETWEEN))
    return values


def parse_settings(text: str) -> list[tuple[str, str, str]]:
    """Return device, property and value of each line where none are known, as in a preset's settings.

    Presets hold no line breaks: Micro-Manager refuses them in names and commas end a value in its files.

    >>> parse_settings("<html>Objective:Label=Nikon 10X S Fluor<br></html>")
    [('Objective', 'Label', 'Nikon 10X S Fluor')]
    """
    lines = text.removeprefix(START).removesuffix(END).split(BETWEEN)
    parts = (re.match(r"([^:]*):([^=]*)=(.*)", line, re.DOTALL) for line in lines if line)
    return [(part[1], part[2], part[3]) for part in parts if part]
