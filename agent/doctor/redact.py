"""Takes out of a text what is nobody's business: people, paths, names of files and samples, keys, addresses.

Too much is taken out rather than too little. The same thing gets the same number throughout one bundle, so that a reader
can still follow one file through a log.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePath

import psutil

_SHORTEST_NAME = 3
_END = r"[^\n\r'\"<>|,;()\[\]{}]*"
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("key", re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)),
    ("address", re.compile(r"\bhttps?://[^\s'\"<>,;)]+")),
    ("e-mail", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("path", re.compile(rf"(?:\\\\+|\b[A-Za-z]:[\\/]){_END}")),
    ("path", re.compile(rf"(?<![\w.<~/])~?/(?=[^\W\d]|[.\d]){_END}")),
    ("file", re.compile(r"[^\s'\"<>|,;:()\[\]{}/\\]+\.(?:ome\.)?(?:tiff?|zarr|nd2|czi|lif|oi[bfr]|h5|ims|vsi|jsonl?|cfg|toml|xml|txt|csv|png|log|bin|dat)\b[\w.]*", re.IGNORECASE)),
    ("quoted", re.compile(r"(?<!\w)'[^'\n]{3,}'(?!\w)|\"[^\"\n]{3,}\"|“[^”\n]+”")),
    ("user", re.compile(r"(?<=\buser )[^,()\s]+")),
    ("code", re.compile(r"\b(?:[A-Z0-9]{4}-){3,}[A-Z0-9]{4}\b")),
    ("secret", re.compile(r"\b[0-9a-fA-F]{32,}\b|\b[A-Za-z0-9+/_-]{40,}={0,2}")),
    ("host", re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")),
)  # fmt: skip


class Redactor:
    """Takes known names and everything that looks like one out of texts.

    Parameters
    ----------
    names : iterable of str
        What is known to be a person's, a place's or a sample's name; upper and lower case are the same.

    Examples
    --------
    >>> redact = Redactor(["Ada"])
    >>> redact("ada wrote /home/ada/liver 3.tif (ok) and C:/data/x.tif")
    '<name 3> wrote <path 2>(ok) and <path 1>'
    """

    def __init__(self, names: Iterable[str]) -> None:
        known = sorted({one for one in names if len(one) >= _SHORTEST_NAME}, key=len, reverse=True)
        words = "|".join(map(re.escape, known))
        self._known = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE) if known else None
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        for kind, pattern in _RULES:
            text = pattern.sub(self._numbered(kind), text)
        return self._known.sub(self._numbered("name"), text) if self._known else text

    def _numbered(self, kind: str) -> Callable[[re.Match[str]], str]:
        def mark(found: re.Match[str]) -> str:
            key = found[0].strip().casefold()
            if key.startswith("<"):
                return found[0]
            return f"<{kind} {self._numbers.setdefault(key, len(self._numbers) + 1)}>"

        return mark


def names_here() -> set[str]:
    """Return the names of this computer and of the people who use it."""
    names = {socket.gethostname(), socket.gethostname().partition(".")[0], Path.home().name}
    with suppress(OSError, KeyError):
        names.add(getpass.getuser())
    with suppress(psutil.Error, OSError):
        names |= {user.name for user in psutil.users()}
    for home in (Path.home().parent, Path("/home"), Path("C:/Users")):
        with suppress(OSError):
            names |= {folder.name for folder in home.iterdir() if folder.is_dir()}
    return names - {
        "root",
        "Public",
        "Default",
        "All Users",
        "tmp",
        "var",
        "usr",
        "bin",
        "lib",
        "etc",
        "opt",
        "home",
    }


def names_in(texts: Iterable[str]) -> set[str]:
    """Return texts, and of those that are paths the names along them.

    >>> sorted(names_in(["liver/scan.ome.tif"]))
    ['liver', 'liver/scan.ome.tif', 'scan', 'scan.ome.tif']
    """
    names: set[str] = set()
    for text in texts:
        parts = PurePath(text.replace("\\", "/")).parts[-2:]
        names |= {text, *parts, *(part.split(".")[0] for part in parts)}
    return names - {"", "/"}
