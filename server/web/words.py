"""Values as people read them, in their language. Times are UTC and say so; a script turns them into the viewer's zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton, get_day_names
from markupsafe import Markup, escape

from agent.records.schedules import DAYS
from server.languages import current_language, gettext, ngettext
from server.numbers import count, decimal


def when(moment: datetime | None, *, ms: bool = False) -> Markup:
    """Return a time as a ``<time>`` element, or a dash.

    >>> str(when(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)))
    '<time datetime="2026-05-04T03:02:01+00:00">2026-05-04 03:02:01 UTC</time>'
    """
    if moment is None:
        return Markup('<span class="none">–</span>')
    utc = moment.astimezone(UTC)
    shown = f"{utc:%Y-%m-%d %H:%M:%S}" + (f".{utc.microsecond // 1000:03d}" if ms else "")
    return Markup(f'<time datetime="{utc.isoformat()}">{shown} UTC</time>')


def when_ms(moment: datetime | None) -> Markup:
    """Return a time with milliseconds."""
    return when(moment, ms=True)


def clock(moment: datetime, zone: ZoneInfo, *, is_end: bool = False) -> Markup:
    """Return a time of day in a zone, which the viewer's own does not replace; UTC stands in its title.

    What ends at midnight ends at 24:00.

    >>> str(clock(datetime(2026, 5, 4, 1, 30, tzinfo=UTC), ZoneInfo("Europe/Zurich")))
    '<time datetime="2026-05-04T01:30:00+00:00" title="2026-05-04 01:30 UTC">03:30</time>'
    """
    utc = moment.astimezone(UTC)
    shown = f"{moment.astimezone(zone):%H:%M}"
    shown = "24:00" if is_end and shown == "00:00" else shown
    return Markup(f'<time datetime="{utc.isoformat()}" title="{utc:%Y-%m-%d %H:%M} UTC">{shown}</time>')


def day(one: date) -> str:
    """Return a day with its weekday, short, as the viewer's language writes it.

    >>> day(date(2026, 5, 4))
    'Mon, May 4'
    """
    return format_skeleton("MMMEd", one, locale=current_language())


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a time was, in its largest unit.

    >>> ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, 5, tzinfo=UTC))
    '2 h ago'
    """
    elapsed = now - moment
    if elapsed < timedelta(0):
        return gettext("in the future by this collector's clock")
    seconds = elapsed.total_seconds()
    if seconds < 10:
        return gettext("moments ago")
    if seconds >= _TWO_DAYS_S:  # a sentence of its own: days have another case in it in German
        days = int(seconds // 86_400)
        return ngettext("%d day ago", "%d days ago", days).replace("%d", count(days))
    return gettext("%s ago") % duration(seconds)


_TWO_DAYS_S = 172_800


def duration(seconds: float) -> str:
    """Return a duration in its largest unit.

    >>> [duration(s) for s in (0.25, 42, 3600, 200000)]
    ['0.2 s', '42 s', '60 min', '2 days']
    """
    if seconds >= _TWO_DAYS_S:
        days = int(seconds // 86_400)
        return ngettext("%d day", "%d days", days).replace("%d", count(days))
    if seconds >= 7200:
        return gettext("%d h") % (seconds // 3600)
    if seconds >= 120:
        return gettext("%d min") % (seconds // 60)
    return f"{seconds:.0f} s" if seconds >= 10 else decimal(f"{seconds:.1f} s")


def words(name: str) -> str:
    """Return a name of our own as words, in the viewer's language where `vocabulary` lists it.

    >>> words("acquisition_started"), words("psf")
    ('acquisition started', 'PSF')
    """
    return _ACRONYMS.sub(lambda found: found[0].upper(), gettext(name.replace("_", " ")))


_ACRONYMS = re.compile(r"\b(?:psf|fwhm|snr|qc)\b")


def rule_words(rule: str) -> str:
    """Return when a schedule runs as people say it, where it is a time of every day or of a day of the week.

    >>> rule_words("30 3 * * fri"), rule_words("0 3 * * *"), rule_words("*/5 * * * *")
    ('Friday, 03:30', 'every day, 03:00', '*/5 * * * *')
    """
    found = _SIMPLE_CRON.fullmatch(rule)
    if found is None or int(found["hour"]) > 23 or int(found["minute"]) > 59:
        return rule
    if found["day"] == "*":
        day = gettext("every day")
    else:
        day = get_day_names("wide", locale=current_language())[DAYS.index(found["day"])]
    return f"{day}, {int(found['hour']):02d}:{int(found['minute']):02d}{found['rest']}"


_SIMPLE_CRON = re.compile(
    rf"(?P<minute>\d{{1,2}}) (?P<hour>\d{{1,2}}) \* \* (?P<day>\*|{'|'.join(DAYS)})(?P<rest>(?:, within .*)?)"
)


def with_code(text: str) -> Markup:
    """Return a text in which what stands between backticks is code.

    >>> str(with_code("`a<b` says what is wrong"))
    '<code>a&lt;b</code> says what is wrong'
    """
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


def file_name(path: str) -> str:
    """Return the last part of a path of whatever system.

    >>> file_name("D:\\\\data\\\\mitosis.ome.zarr"), file_name("/data/run 1/")
    ('mitosis.ome.zarr', 'run 1')
    """
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


_UNITS = {"um": "µm", "Cel": "°C", "deg": "°", "us": "µs", "uW": "µW"}
_AXES = "tpgcz"


def unit(ucum: str) -> str:
    """Return a UCUM code as people write the unit.

    >>> unit("um"), unit("mW")
    ('µm', 'mW')
    """
    return _UNITS.get(ucum, ucum)


def axes(lengths: dict[str, int]) -> str:
    """Return planned axes in the order they are nested, whatever order the record has them in.

    >>> axes({"c": 2, "t": 10})
    't 10 × c 2'
    """
    known = [axis for axis in _AXES if axis in lengths]
    others = [axis for axis in lengths if axis not in _AXES]
    return " × ".join(f"{axis} {lengths[axis]}" for axis in known + others) or "–"


def figure_name(name: str, ucum: str | None = None) -> str:
    """Return the name of a figure as words; a unit at its end is left to stand beside the value.

    >>> figure_name("fwhm_x_um", "um"), figure_name("shift_nm[GFP, Cy5]", "nm"), figure_name("n_beads", "1")
    ('FWHM x', 'shift [GFP, Cy5]', 'n beads')
    >>> figure_name("fwhm_z_um")
    'FWHM z µm'
    """
    stem, bracket, inside = name.partition("[")
    if ucum is None:
        start, _, end = stem.rpartition("_")
        stem = f"{start}_{_UNITS[end]}" if start and end in _UNITS else stem
    suffix = _SUFFIXES.get(ucum or "", (ucum or "").lower())
    stem = stem.removesuffix(f"_{suffix}") if suffix else stem
    return words(stem) + (f" [{inside}" if bracket else "")


_SUFFIXES = {"1": "", "%": "percent", "Cel": "c"}


_PATH = ("objective", "camera", "channel")


def light_path(parts: dict[str, str]) -> str:
    """Return a light path in one line, the objective first; what is no part of every path says what it is.

    >>> light_path({"camera": "Prime", "stage": "XY", "objective": "60x"})
    '60x · Prime · stage XY'
    """
    known = [parts[part] for part in _PATH if part in parts]
    return " · ".join(known + [f"{words(part)} {name}" for part, name in parts.items() if part not in _PATH])
