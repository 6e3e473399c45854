"""The pages in the viewer's language: catalogues of translations, and which one a request is answered in.

Templates write ``{{ _("Change log") }}`` and ``{{ ngettext("%(num)d run", "%(num)d runs", n) }}``, Python the same through
`gettext` and `ngettext`. The English text is the key; catalogues are ``locale/<language>.po`` and are compiled in memory at
their first use, so that a checkout and a wheel hold the same files. ``python -m server.languages`` brings the
catalogues up to date with the source.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

SOURCE_LANGUAGE = "en"
LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "fr": "français",
    "es": "español",
    "pt": "português",
    "ja": "日本語",
    "zh": "中文",
}
LANGUAGE_COOKIE = "scopestamp_language"

_current: ContextVar[str] = ContextVar("language", default=SOURCE_LANGUAGE)


def language_of(request: Request) -> str:
    """Return the language to answer in: what the viewer chose, else the first the browser asks for that there is."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return negotiate_locale(_asked_for(request), list(LANGUAGES), sep="-") or SOURCE_LANGUAGE


def _asked_for(request: Request) -> list[str]:
    """Return the languages of ``Accept-Language``, the most wanted first."""
    wanted = []
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), tag))
        except ValueError:
            continue
    return [tag for _, tag in sorted(wanted, key=lambda pair: pair[0]) if tag]


def speak(language: str) -> None:
    """Answer in this language from here on, within the current request."""
    _current.set(language)


class Speaking:
    """ASGI middleware: whatever is said while a page is made is said in the viewer's language, before it is rendered too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/v1/"):
            speak(language_of(Request(scope)))
        await self.app(scope, receive, send)


def current_language() -> str:
    """Return the language of the current request."""
    return _current.get()


def gettext(message: str) -> str:
    """Return a text in the current language."""
    return translations(_current.get()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """Return the text for that many things in the current language."""
    return translations(_current.get()).ngettext(singular, plural, n)


@cache
def translations(language: str) -> NullTranslations:
    """Return a compiled catalogue; the source language has none, its texts stand in the templates."""
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def catalogue(language: str) -> Catalog:
    """Return the catalogue of a language as it stands in its file; an empty one when there is no file yet."""
    source = files("server").joinpath("locale", f"{language}.po")
    if not source.is_file():
        return Catalog(Locale.parse(language))
    return read_po(BytesIO(source.read_bytes()), locale=Locale.parse(language))


def texts_in_source() -> Catalog:
    """Return every text that templates and Python code of the collector mark for translation."""
    root = Path(__file__).parent
    found = Catalog(project="Scopestamp", charset="utf-8")
    methods = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
    options = {"**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
    for name, line, text, comments, context in extract_from_dir(root, methods, options):
        found.add(text, None, [(Path(name).as_posix(), line)], auto_comments=comments, context=context)
    return found


def main() -> int:
    """Bring every catalogue up to date with the source, and say what is left to translate."""
    template = texts_in_source()
    folder = Path(__file__).parent / "locale"
    for language in LANGUAGES:
        if language == SOURCE_LANGUAGE:
            continue
        known = catalogue(language)
        known.update(template, no_fuzzy_matching=True)
        known.fuzzy, known.header_comment = (
            False,
            f"# {LANGUAGES[language]}: the texts of the collector's pages.",
        )
        known.project, known.version = "Scopestamp", version("scopestamp")
        with (folder / f"{language}.po").open("wb") as file:
            write_po(
                file,
                known,
                width=110,
                omit_header=False,
                sort_output=True,
                no_location=True,
                ignore_obsolete=True,
            )
        left = sum(1 for message in known if message.id and not all(_strings(message.string)))
        print(f"{language}: {len(known)} texts, {left} to translate", file=sys.stderr)
    return 0


def _strings(string: str | tuple[str, ...]) -> tuple[str, ...]:
    return string if isinstance(string, tuple) else (string,)


if __name__ == "__main__":
    raise SystemExit(main())
