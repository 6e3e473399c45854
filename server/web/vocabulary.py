"""Words of our own that come as data (states, causes, kinds of record), listed here so that catalogues can translate them.

`words.words` looks them up; a word that is missing here is shown in English.
"""

from __future__ import annotations


def _(word: str) -> str:
    """Mark a word for the catalogues."""
    return word


PRESENCE = (_("reporting"), _("silent"), _("never reported"))
HARDWARE = (_("idle"), _("acquiring"), _("busy"), _("starting"), _("down"), _("no hardware"))
ENDINGS = (
    _("completed"),
    _("canceled"),
    _("errored"),
    _("interrupted"),
    _("running"),
    _("start not received"),
)
SEVERITY = (_("info"), _("warning"), _("error"))
CAUSES = (_("commanded"), _("notified"), _("drifted"))
OBTAINED = (_("hardware"), _("cache"), _("event"), _("commanded"))
READINGS = (_("ok"), _("absent"), _("failed"), _("timeout"))
VERDICTS = (_("pass"), _("warn"), _("fail"), _("unknown"))
SOURCES = (_("device"), _("profile"), _("derived"), _("qc"), _("plan"), _("human"), _("default"))
KINDS = (
    _("instrument"),
    _("state snapshot"),
    _("state change"),
    _("acquisition started"),
    _("acquisition finished"),
    _("frame ledger"),
    _("dataset stamp"),
    _("qc result"),
    _("heartbeat"),
    _("agent event"),
    _("instrument profile"),
    _("usage session"),
    _("schedule run"),
    _("schedule plan"),
    _("dataset found"),
    _("gap"),
)
WORK = (
    _("service"),
    _("alignment"),
    _("cleaning"),
    _("repair"),
    _("replacement"),
    _("consumable"),
    _("software"),
    _("observation"),
)
STANDING = (_("signed off"), _("invalid"), _("baseline"))
ALERTS = (_("critical"), _("silenced"), _("looked after"))
RULES = (
    _("No sign of life"),
    _("Out of limits"),
    _("Quality control overdue"),
    _("Out of control"),
    _("Drifts to a limit"),
    _("The agent reports an error"),
    _("Acquisition in trouble"),
    _("Records wait"),
    _("Disk nearly full"),
    _("Clock is off"),
    _("Hardware keeps crashing"),
    _("A part of the agent stopped"),
)
SCHEDULED = (
    _("planned"),
    _("waiting"),
    _("waiting for person"),
    _("postponed"),
    _("done"),
    _("skipped"),
    _("missed"),
    _("aborted by user"),
    _("nothing heard"),
    _("booked"),
    _("refused"),
    _("runs"),
    _("switched off"),
    _("confirmed"),
)
AGENTS = (_("enrolled"), _("waits for approval"), _("revoked"), _("revoked at its site"))
JOIN_CODES = (_("open"), _("used"), _("expired"))
SIGNATURES = (_("valid"), _("not valid"))
QUARANTINE = (_("malformed"), _("unknown kind"), _("newer version"), _("foreign agent"))
HEARTBEAT_FIGURES = {
    "spool_waiting": _("number of records that wait"),
    "spool_oldest_h": _("age of the oldest record that waits (h)"),
    "spool_mb": _("spool on disk (MB)"),
    "disk_free_gb": _("free disk (GB)"),
    "clock_offset_s": _("clock offset (s)"),
    "memory_mb": _("memory of the agent (MB)"),
    "restarts": _("number of restarts of the hardware process"),
    "events_lost": _("number of events lost"),
    "records_set_aside": _("number of records set aside"),
}
RULE_NUMBERS = (
    _("minutes"),
    _("days"),
    _("hours"),
    _("worst"),
    _("above"),
    _("below"),
    _("clears at"),
    _("older than"),
    _("in a row"),
)
LEVELS = (_("lower limit"), _("upper limit"), _("expected"))
TRENDS = (
    _("step"),
    _("drifts"),
    _("in control"),
    _("out of control"),
    _("was overdue"),
    _("overdue"),
    _("in use"),
)
CONTROL = (
    _("1 value beyond 3 σ"),
    _("2 of 3 beyond 2 σ"),
    _("4 of 5 beyond 1 σ"),
    _("8 in a row on one side"),
)
ROUTINES = (
    _("illumination"),
    _("illumination change"),
    _("registration"),
    _("photon transfer"),
    _("linearity"),
    _("dark noise"),
    _("dark current"),
    _("uniformity"),
    _("defects"),
    _("point detector"),
    _("power linearity"),
    _("power stability"),
    _("sample power"),
    _("stage"),
    _("drift"),
    _("autofocus"),
    _("axial steps"),
    _("grid"),
    _("pixel size"),
    _("line pairs"),
    _("thin layer"),
)
NAMEPLATE = (_("manufacturer"), _("serial number"))
EVENTS = (_("maintenance"), _("change"), _("event"))
STAMPS = (_("inside"), _("sidecar only"), _("none"))
SESSION_ENDS = (_("idle"), _("logout"), _("other user"), _("agent stopped"), _("interrupted"))
NAMES_OF_PEOPLE = (_("omitted"), _("unknown"))
