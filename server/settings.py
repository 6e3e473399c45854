"""What can be set, in one TOML file. Every key has a default that is safe on one machine."""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.records.wire import MAX_BODY_BYTES, MAX_EXPANDED_BYTES
from server.access.roles import Role
from server.errors import SettingsError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenSettings(_Section):
    """Where the collector listens."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on. Any other than loopback needs TLS."
    )
    port: int = Field(default=8765, ge=0, le=65535, description="Port; 0 takes a free one.")
    tls_certificate: str = Field(
        default="", description="PEM file with the certificate chain; empty for none."
    )
    tls_key: str = Field(default="", description="PEM file with its private key.")
    tls_ends_at_proxy: bool = Field(
        default=False,
        description="A reverse proxy in front of this collector terminates TLS. Without it or a certificate, the "
        "collector refuses to listen beyond loopback.",
    )
    trusted_proxies: str = Field(
        default="127.0.0.1",
        description="Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas.",
    )


class CollectorSettings(_Section):
    """What the collector is called."""

    name: str = Field(
        default="Scopestamp collector", min_length=1, description="Shown to agents and on every page."
    )
    url: str = Field(
        default="",
        description="Where people open it, such as https://scopes.example.org; for links in messages.",
    )
    time_zone: str = Field(
        default="UTC",
        description="By whose days and months hours of use are summed up, such as Europe/Zurich.",
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no time zone; such as Europe/Zurich") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)


class StoreSettings(_Section):
    """Where everything is kept: one SQLite file in the data folder, or PostgreSQL."""

    postgresql: str = Field(
        default="",
        description="postgresql://user:password@host/database; empty for SQLite. Several collectors may share one.",
    )
    postgresql_reading: str = Field(
        default="", description="Address of a read replica for pages and queries; empty for the same server."
    )


class LimitSettings(_Section):
    """How much one request may take."""

    max_body_bytes: int = Field(
        default=MAX_BODY_BYTES, ge=1024, le=64 << 20, description="Largest batch as transmitted."
    )
    max_expanded_bytes: int = Field(
        default=MAX_EXPANDED_BYTES, ge=1024, le=512 << 20, description="Largest batch after decompression."
    )
    max_waiting: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Requests that may wait for the disk; further ones are answered 503.",
    )
    attempts_per_minute: int = Field(
        default=10, ge=1, description="Failed sign-ins or join codes an address may try in a minute."
    )
    agent_requests_per_s: float = Field(
        default=200.0, ge=0, description="Requests of one agent, ten times that at once; 0 is any."
    )
    agent_mb_per_day: int = Field(
        default=20_000, ge=0, description="Megabytes one agent may send in a day (UTC), compressed; 0 is any."
    )
    address_requests_per_s: float = Field(
        default=50.0,
        ge=0,
        description="Requests for pages and the API from one address, ten times that at once; 0 is any.",
    )
    live_streams_of_one: int = Field(
        default=10, ge=1, description="Streams of live events that one person or token may hold at once."
    )
    request_timeout_s: float = Field(default=120.0, gt=0, description="Time for a request to come in whole.")
    max_upload_bytes: int = Field(
        default=64 << 20,
        ge=1 << 20,
        description="Largest request of any kind, such as files for the logbook.",
    )


class EnrolmentSettings(_Section):
    """How instruments are let in."""

    auto_approve: bool = Field(
        default=True,
        description="A join code is enough. false: an administrator also compares the key's fingerprint and approves.",
    )


class HealthSettings(_Section):
    """When an instrument counts as silent."""

    heartbeat_s: float = Field(default=60.0, gt=0, description="How often agents report.")
    missed_heartbeats: int = Field(default=3, ge=1, description="Silent after that many have not come.")


class SessionSettings(_Section):
    """How long people stay signed in."""

    hours: float = Field(default=12.0, gt=0, description="Hours until a session ends.")


class OidcSettings(_Section):
    """Single sign-on for people by OpenID Connect; needs scopestamp[oidc]."""

    issuer: str = Field(
        default="", description="Address of the identity provider, as it calls itself; empty for none."
    )
    label: str = Field(default="single sign-on", description="What the sign-in page calls it.")
    client_id: str = Field(default="scopestamp", description="What the provider calls this collector.")
    client_secret_file: str = Field(
        default="", description="File that holds the secret it gave; empty for a public client."
    )
    scopes: tuple[str, ...] = Field(default=("openid", "profile", "email"), description="What is asked for.")
    name_claim: str = Field(default="preferred_username", description="Claim that people are called by here.")
    groups_claim: str = Field(default="groups", description="Claim that lists their groups.")
    roles: dict[str, Role] = Field(
        default={}, description="Group to role, the strongest counts; without one nobody is let in."
    )
    sites: dict[str, str] = Field(
        default={}, description="Group to site; who is in such groups sees these sites only."
    )


class RetentionSettings(_Section):
    """What is given up when it is old; 0 is never. QC, acquisitions and everything not named here are kept for ever."""

    thin_heartbeats_after_days: int = Field(default=30, ge=0, description="Then one an hour is kept.")
    drop_heartbeats_after_days: int = Field(default=730, ge=0, description="Then none is kept.")
    thin_snapshots_after_days: int = Field(default=90, ge=0, description="Then one an hour is kept.")
    drop_snapshots_after_days: int = Field(default=0, ge=0, description="Then none is kept.")
    drop_changes_after_days: int = Field(
        default=0, ge=0, description="Then entries of the change log go; they explain what QC shows."
    )
    drop_events_after_days: int = Field(default=730, ge=0, description="Events of the agents themselves.")


class SmtpSettings(_Section):
    """The mail server that alerts go through."""

    host: str = Field(default="", description="Its name; empty for no mail.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls, tls, or none for a relay on this computer."
    )
    ca_file: str = Field(
        default="",
        description="PEM file of the authority that signed its certificate; empty for the usual ones.",
    )
    user: str = Field(default="", description="Name to sign in with; empty for none.")
    password_file: str = Field(
        default="", description="File that holds the password, readable by the collector only."
    )
    sender: str = Field(default="scopestamp@localhost", description="Address that mails come from.")


class OutgoingSettings(_Section):
    """Where the collector itself may send requests: webhooks, chats, other collectors."""

    allowed: tuple[str, ...] = Field(
        default=(),
        description="Host names and networks (10.0.0.0/8) it may reach though they are not public. By default it "
        "reaches public addresses only.",
    )

    @field_validator("allowed")
    @classmethod
    def _are_networks(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        for one in allowed:
            if "/" in one:
                ipaddress.ip_network(one)  # says what is wrong with it
        return allowed


class UpstreamSettings(_Section):
    """The collector above this one, which records are forwarded to, and what of them it gets."""

    url: str = Field(
        default="", description="Its address, https; empty for none. `scopestamp-server upstream join` first."
    )
    ca_file: str = Field(
        default="",
        description="PEM file of the authority that signed its certificate; empty for the usual ones.",
    )
    withhold_people: bool = Field(
        default=True, description="User names, staff, host names, and the texts and paths they may stand in."
    )
    withhold_samples: bool = Field(
        default=True, description="File paths, plans, free texts, and what else may name a sample."
    )
    withhold_properties: tuple[str, ...] = Field(
        default=("*sample*", "*specimen*", "*user*", "*operator*"),
        description="Properties of devices whose values are withheld with people or samples; * stands for anything.",
    )
    summaries_only: bool = Field(
        default=False,
        description="Only quality control, heartbeats, how acquisitions and sessions of use ended, and what the "
        "instrument is.",
    )
    kinds: tuple[str, ...] = Field(default=(), description="Only these kinds of records; empty for all.")
    metrics: tuple[str, ...] = Field(
        default=(), description="Only these figures of quality control, * stands for anything; empty for all."
    )
    snapshots_every_s: float = Field(
        default=0.0, ge=0, description="At most one snapshot an instrument in that time."
    )
    heartbeats_every_s: float = Field(
        default=0.0,
        ge=0,
        description="At most one heartbeat an instrument; the upstream judges silence by them.",
    )
    max_kb_per_s: float = Field(
        default=2048.0, gt=0, description="How fast at most, also when catching up after an outage."
    )


class Settings(_Section):
    """All settings of a collector."""

    collector: CollectorSettings = CollectorSettings()
    listen: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    enrolment: EnrolmentSettings = EnrolmentSettings()
    health: HealthSettings = HealthSettings()
    sessions: SessionSettings = SessionSettings()
    oidc: OidcSettings = OidcSettings()
    retention: RetentionSettings = RetentionSettings()
    smtp: SmtpSettings = SmtpSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    upstream: UpstreamSettings = UpstreamSettings()


def load_settings(path: Path | None) -> Settings:
    """Return the settings in a TOML file, or the defaults without one."""
    if path is None:
        return Settings()
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(
            f"Cannot read {path}: {error.strerror}. `print-config` writes a file to start from."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_in_words(error)}") from error


def to_toml(settings: Settings) -> str:
    """Return the settings as commented TOML; reading it back gives the same settings."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment("Settings of the Scopestamp collector. `scopestamp-server print-config` wrote this.")
    )
    for name, section in settings:
        table = tomlkit.table()
        table.comment(_first_line(section))
        for key, value in section:
            for line in _wrapped(type(section).model_fields[key].description or ""):
                table.add(tomlkit.comment(line))
            table.add(key, value)
        table.add(tomlkit.nl())
        document.add(tomlkit.nl()) if name == "collector" else None
        document.add(name, table)
    return tomlkit.dumps(document).rstrip() + "\n"


def _first_line(section: BaseModel) -> str:
    return (type(section).__doc__ or "").partition("\n")[0]


def _wrapped(text: str, width: int = 96) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=True)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where} = {first['input']!r}: {first['msg']}."
    known = list(_keys())
    near = difflib.get_close_matches(where, known, n=1, cutoff=0.4)
    return f"unknown key {where}. " + (
        f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(known)}."
    )


def _keys() -> list[str]:
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    return [
        *sections,
        *(f"{name}.{key}" for name, section in sections.items() for key in section.model_fields),
    ]
