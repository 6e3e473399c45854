"""Templates to responses."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from server import numbers
from server.access.people import Person
from server.languages import LANGUAGES, gettext, language_of, ngettext, speak
from server.web import drawn, words

_TEMPLATES = Environment(
    loader=PackageLoader("server.web"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    extensions=["jinja2.ext.i18n"],
)


def _counted(singular: str, plural: str, num: int, **values: Any) -> Markup:
    """Return the text for that many things, with their number as the viewer's language groups it."""
    said = ngettext(singular, plural, num).replace("%(num)d", "%(num)s")
    return Markup(said) % {"num": numbers.count(num), **values}


@pass_context
def _let_go(context: Context) -> str:
    """End a page, from its template: nothing of it is shown after that.

    A macro of the page's own knows the context and the context knows the macro. Left so, all that the page showed would wait
    for the collector of garbage, which stops everybody for up to 200 ms when so much has come together.
    """
    context.vars.clear()
    return ""


_TEMPLATES.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
_TEMPLATES.globals["ngettext"] = _counted
_TEMPLATES.globals["let_go"] = _let_go
_TEMPLATES.filters.update(
    when=words.when,
    when_ms=words.when_ms,
    ago=words.ago,
    clock=words.clock,
    day=words.day,
    duration=words.duration,
    size=numbers.size,
    number=numbers.number,
    count=numbers.count,
    fixed=numbers.fixed,
    decimal=numbers.decimal,
    words=words.words,
    rule_words=words.rule_words,
    unit=words.unit,
    axes=words.axes,
    measured=numbers.measured,
    figure_name=words.figure_name,
    light_path=words.light_path,
    file_name=words.file_name,
    with_code=words.with_code,
    value_dots=drawn.value_dots,
    value_rows=drawn.value_rows,
)


def render(
    request: Request, template: str, person: Person | None, status_code: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page in the viewer's language. Everything in `values` is escaped by the template, whoever wrote it."""
    collector = request.app.state.collector
    language = language_of(request)
    speak(language)  # a refusal may be made outside the middleware
    page = _TEMPLATES.get_template(template).render(
        person=person,
        collector_name=collector.settings.collector.name,
        version=request.app.version,
        path=request.url.path,
        now=collector.now(),
        language=language,
        languages=LANGUAGES,
        **values,
    )
    return HTMLResponse(page, status_code=status_code)
