"""Messages to people: what is said, and how each channel wants it."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

from server.alerts.book import Alert
from server.alerts.routes import Chat, Email, Route, Webhook
from server.alerts.rules import RANK
from server.outgoing import OutgoingError, post
from server.settings import OutgoingSettings, SmtpSettings

MOST_LISTED = 20
SIGNATURE_HEADER = "Scopestamp-Signature-256"


class PartlyToldError(OutgoingError):
    """Some were told, and must not be told again because others could not be."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a line that says it all, and one paragraph for each trouble, as far as anybody reads."""

    subject: str
    paragraphs: tuple[str, ...]
    n_began: int
    n_ended: int
    began: tuple[Alert, ...]
    ended: tuple[Alert, ...]
    at: datetime

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        return "\n\n".join(self.paragraphs)


def compose(
    began: Sequence[Alert], ended: Sequence[Alert], names: Mapping[str, str], base_url: str, now: datetime
) -> Message:
    """Return the message for these alerts, the most urgent first.

    Parameters
    ----------
    began, ended : sequence of Alert
        What began to fire and what is over.
    names : mapping
        Instrument id to its name.
    base_url : str
        Where people open the collector; empty when that is not known.
    """
    urgent = sorted(began, key=lambda alert: (-RANK[alert.severity], alert.since, alert.key))
    paragraphs = [_paragraph(alert, names, base_url) for alert in urgent[:MOST_LISTED]]
    if len(urgent) > MOST_LISTED:
        paragraphs.append(_rest(urgent[MOST_LISTED:], base_url))
    over = [f"{names.get(a.instrument_id, a.instrument_id)}: {a.name}" for a in ended]
    if over:
        listed = "\n".join(f"- {line}" for line in over[:MOST_LISTED])
        more = f"\n- and {len(over) - MOST_LISTED} more" if len(over) > MOST_LISTED else ""
        paragraphs.append(f"Over:\n{listed}{more}")
    subject = _subject(urgent, ended, names)
    return Message(subject, tuple(paragraphs), len(began), len(ended), tuple(urgent), tuple(ended), now)


def _subject(began: Sequence[Alert], ended: Sequence[Alert], names: Mapping[str, str]) -> str:
    if len(began) == 1:
        alert = began[0]
        return f"[{alert.severity}] {_name(alert, names)}: {alert.name}"
    if began:
        n_instruments = len({alert.instrument_id for alert in began})
        kinds = ", ".join(dict.fromkeys(alert.name for alert in began[:200]))
        where = _name(began[0], names) if n_instruments == 1 else f"{n_instruments} instruments"
        return f"[{began[0].severity}] {where}: {kinds}"
    if len(ended) == 1:
        return f"[over] {_name(ended[0], names)}: {ended[0].name}"
    return f"[over] {len(ended)} alerts"


def _name(alert: Alert, names: Mapping[str, str]) -> str:
    return names.get(alert.instrument_id, alert.instrument_id)


def _paragraph(alert: Alert, names: Mapping[str, str], base_url: str) -> str:
    lines = [
        f"{_name(alert, names)}: {alert.what % alert.values}",
        f"Since {alert.since:%Y-%m-%d %H:%M} UTC · {alert.severity} · {alert.name}",
    ]
    if alert.cause:
        lines.append(f"Likely cause: {alert.cause}")
    if alert.advice:
        lines.append(alert.advice)
    if base_url:
        lines.append(f"{base_url.rstrip('/')}{alert.href or '/instruments/' + alert.instrument_id}")
    return "\n".join(lines)


def _rest(alerts: Sequence[Alert], base_url: str) -> str:
    by_name: dict[str, int] = {}
    for alert in alerts:
        by_name[alert.name] = by_name.get(alert.name, 0) + 1
    told = ", ".join(f"{n} × {name}" for name, n in by_name.items())
    where = f"\n{base_url.rstrip('/')}/alerts" if base_url else ""
    return f"And {len(alerts)} more: {told}.{where}"


class Teller:
    """Sends messages through the channels, under the collector's settings."""

    def __init__(self, smtp: SmtpSettings, outgoing: OutgoingSettings) -> None:
        self._smtp = smtp
        self._outgoing = outgoing

    def send(self, route: Route, message: Message) -> None:
        """Send one message.

        Raises
        ------
        OutgoingError
            It was not taken; says by whom and why.
        PartlyToldError
            It was taken for some; says for whom it was not.
        """
        match route.channel:
            case Email() as email:
                self._send_email(email, message)
            case Webhook() as webhook:
                body = _json(message)
                digest = hmac.new(webhook.secret.encode(), body, hashlib.sha256).hexdigest()
                self._post(webhook.url, body, {SIGNATURE_HEADER: f"sha256={digest}"})
            case Chat() as chat:
                self._post(chat.url, json.dumps(_chat(chat.by, message)).encode(), {})

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        post(url, body, {"Content-Type": "application/json", **headers}, self._outgoing.allowed)

    def _send_email(self, email: Email, message: Message) -> None:
        smtp = self._smtp
        if not smtp.host:
            raise OutgoingError(
                "No mail server is set: give `host` under [smtp] in the collector's settings."
            )
        try:
            with _connected(smtp) as server:
                if smtp.user:
                    server.login(smtp.user, _password(smtp))
                refused = server.send_message(_email(email, message, smtp.sender))
        except (OSError, smtplib.SMTPException) as error:
            raise OutgoingError(f"{smtp.host} did not take the mail: {error}.") from error
        if refused:
            raise PartlyToldError(f"{smtp.host} refused {', '.join(refused)}; the others were told.")


def _connected(smtp: SmtpSettings) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=smtp.ca_file or None)
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=30, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=30)
    if smtp.security == "starttls":
        server.starttls(context=context)
    return server


def _password(smtp: SmtpSettings) -> str:
    try:
        return Path(smtp.password_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OutgoingError(
            f"Cannot read the mail password in {smtp.password_file}: {error.strerror}."
        ) from error


def _email(email: Email, message: Message, sender: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(email.to)
    mail["Subject"] = " ".join(message.subject.split())[:200]
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _json(message: Message) -> bytes:
    told = {
        "subject": message.subject,
        "at": message.at.isoformat(),
        "n_began": message.n_began,
        "n_ended": message.n_ended,
        "began": [alert.model_dump(mode="json") for alert in message.began[:200]],
        "ended": [alert.model_dump(mode="json") for alert in message.ended[:200]],
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _chat(by: str, message: Message) -> dict[str, object]:
    """Return the body each chat takes from an incoming webhook, as plain text: device labels stay what they are."""
    whole = f"{message.subject}\n\n{message.text}"
    if by == "slack":
        blocks = [
            {"type": "section", "text": {"type": "plain_text", "text": part[:3000]}}
            for part in (message.subject, *message.paragraphs)
        ]
        return {"text": message.subject, "blocks": blocks[:50]}
    if by == "teams":
        card = {
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "text": part, "wrap": True, "weight": weight}
                for part, weight in [
                    (message.subject, "bolder"),
                    *((p, "default") for p in message.paragraphs),
                ]
            ],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return {"type": "message", "attachments": [attachment]}
    return {"msgtype": "m.text", "body": whole, "text": whole}
