"""Alerts reach people: a real SMTP server, a real web server, and the collector's own rounds."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from aiosmtpd.controller import Controller

from agent.records import PartHealth
from agent.records import Severity as Mattering
from server import outgoing
from server.alerts.book import Alert, acknowledge, book_of
from server.alerts.round import AlertRound
from server.alerts.routes import ROUTE, Chat, Email, Route, Webhook, waiting_on
from server.alerts.rules import Severity
from server.alerts.telling import MOST_LISTED, Teller, compose
from server.errors import StoreError
from server.outgoing import OutgoingError, checked_address
from server.settings import OutgoingSettings, Settings, SmtpSettings

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LOOPBACK = OutgoingSettings(allowed=("127.0.0.0/8",))
SECRET = "a secret of the webhook"


def alert(n: int = 1, name: str = "No sign of life", severity: Severity = Severity.CRITICAL) -> Alert:
    return Alert(
        key=f"{name}|scope-{n}|",
        rule="silent",
        name=name,
        severity=severity,
        instrument_id=f"scope-{n}",
        subject="",
        what="No sign of life for %(minutes)s min",
        values={"minutes": "12"},
        advice="Is the microscope PC switched on?",
        href="",
        state="firing",
        since=AT - timedelta(minutes=12),
        found_at=AT,
        fired_at=AT,
    )


def message(*alerts: Alert, ended: tuple[Alert, ...] = ()):
    names = {"scope-1": "Spinning disk <2>\r\nBcc: eve@example.org"}
    return compose(alerts or (alert(),), ended, names, "https://scopes.example.org/", AT)


class Inbox:
    """Keeps what an SMTP server was given."""

    def __init__(self) -> None:
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@pytest.fixture
def smtp() -> Iterator[tuple[Inbox, SmtpSettings]]:
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # the controller cannot choose one itself
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield inbox, SmtpSettings(host="127.0.0.1", port=port, security="none", sender="scopes@example.org")
    controller.stop()


@contextmanager
def web_server(status: int = 200, location: str = "") -> Iterator[tuple[str, list]]:
    """Run a web server that keeps every POST it was given."""
    taken: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, dict(self.headers), body))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def route(channel) -> Route:
    return Route(key="staff", name="Staff", channel=channel, gathers_s=0)


def test_mail_says_what_since_when_what_to_do_and_where(smtp):
    inbox, settings = smtp
    Teller(settings, LOOPBACK).send(route(Email(to=("ada@example.org", "ben@example.org"))), message())

    ((recipients, mail),) = inbox.mails
    assert recipients == ["ada@example.org", "ben@example.org"]
    assert mail["Subject"] == "[critical] Spinning disk <2> Bcc: eve@example.org: No sign of life"
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    for words in (
        "No sign of life for 12 min",
        "Since 2026-05-04 11:48 UTC",
        "Is the microscope PC switched on?",
        "https://scopes.example.org/instruments/scope-1",
    ):
        assert words in text


def test_mail_server_that_is_away_is_said():
    away = SmtpSettings(host="127.0.0.1", port=1, security="none")
    with pytest.raises(OutgoingError, match="did not take the mail"):
        Teller(away, LOOPBACK).send(route(Email(to=("ada@example.org",))), message())
    with pytest.raises(OutgoingError, match="No mail server is set"):
        Teller(SmtpSettings(), LOOPBACK).send(route(Email(to=("ada@example.org",))), message())


def test_webhook_is_signed_over_the_bytes_it_carries():
    with web_server() as (url, taken):
        Teller(SmtpSettings(), LOOPBACK).send(route(Webhook(url=f"{url}/hook?a=1", secret=SECRET)), message())
    ((path, headers, body),) = taken
    assert path == "/hook?a=1"
    assert headers["Scopestamp-Signature-256"] == (
        "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    )
    assert json.loads(body)["began"][0]["instrument_id"] == "scope-1"


@pytest.mark.parametrize("by", ["slack", "teams", "matrix"])
def test_chat_gets_the_form_it_takes(by):
    with web_server() as (url, taken):
        Teller(SmtpSettings(), LOOPBACK).send(route(Chat(by=by, url=url)), message())
    told = json.loads(taken[0][2])
    if by == "slack":
        assert [block["text"]["type"] for block in told["blocks"]] == ["plain_text"] * 2
    elif by == "teams":
        assert told["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    else:
        assert told["msgtype"] == "m.text"
    assert "No sign of life for 12 min" in json.dumps(told)


def test_webhook_that_answers_byte_by_byte_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(outgoing, "LONGEST_S", 0.5)
    is_over = threading.Event()

    def drip(listening: socket.socket) -> None:
        with listening.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            with suppress(OSError):  # it is hung up on
                while not is_over.wait(0.05):
                    connection.sendall(b".")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        hook = Webhook(url=f"http://127.0.0.1:{listening.getsockname()[1]}", secret=SECRET)
        with pytest.raises(OutgoingError, match="did not answer within"):
            Teller(SmtpSettings(), LOOPBACK).send(route(hook), message())
        is_over.set()
        thread.join()


@pytest.mark.parametrize(("status", "said"), [(500, "answered 500"), (302, "answered 302")])
def test_answer_that_is_no_success_is_said_and_no_redirect_is_followed(status, said):
    with (
        web_server() as (elsewhere, not_taken),
        web_server(status, f"{elsewhere}/inside") as (url, taken),
        pytest.raises(OutgoingError, match=said),
    ):
        Teller(SmtpSettings(), LOOPBACK).send(route(Chat(by="slack", url=url)), message())
    assert (len(taken), not_taken) == (1, [])


@pytest.mark.parametrize(
    "address",
    [
        "fec0::1",
        "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "::7f00:1",
        "::ffff:0:10.0.0.1",
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_webhook_cannot_reach_into_the_collectors_network(address):
    """A webhook's host may be any name; what counts is where it leads. (ASVS 5.0 13.2.4)"""
    with pytest.raises(OutgoingError, match="no public address"):
        checked_address("innocent.example", (), lambda host: [address])


def test_every_address_of_a_host_is_looked_at():
    with pytest.raises(OutgoingError, match=r"10\.0\.0\.1"):
        checked_address("two-faced.example", (), lambda host: ["93.184.216.34", "10.0.0.1"])


def test_allowed_network_or_host_can_be_reached():
    assert checked_address("chat", ("10.0.0.0/8",), lambda host: ["10.0.0.1"]) == "10.0.0.1"
    assert checked_address("chat", ("chat",), lambda host: ["10.0.0.1"]) == "10.0.0.1"
    assert checked_address("chat", ("10.0.0.0/8",), lambda host: ["64:ff9b::a00:1"]) == "64:ff9b::a00:1"
    with pytest.raises(OutgoingError):
        checked_address("chat", ("10.0.0.0/8",), lambda host: ["10.0.0.1", "::1"])


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "https://",
        "http://" + "a" * 64 + ".example/",
        "http://a:99999999/",
    ],
)
def test_address_that_is_none_is_told_as_any_webhook_that_fails(url):
    """What else it raised would keep every other route from being told."""
    with pytest.raises(OutgoingError):
        Teller(SmtpSettings(), OutgoingSettings()).send(route(Chat(by="slack", url=url)), message())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822"])
def test_public_address_can_be_reached(address):
    assert checked_address("shop.example", (), lambda host: [address]) == address


def test_network_that_is_none_is_told_when_the_settings_are_read():
    """It would be passed over, and nobody know why the webhook behind it is refused."""
    with pytest.raises(ValueError, match="host bits"):
        OutgoingSettings(allowed=("chat", "10.0.0.1/8"))


def test_long_list_is_cut_and_counted():
    many = [alert(n) for n in range(MOST_LISTED + 30)] + [alert(1, "Disk nearly full", Severity.WARNING)]
    told = message(*many)
    assert told.subject == "[critical] 50 instruments: No sign of life, Disk nearly full"
    assert told.paragraphs[-1].startswith("And 31 more: 30 × No sign of life, 1 × Disk nearly full.")
    assert len(told.paragraphs) == MOST_LISTED + 1


def test_round_tells_once_and_tells_the_end(make_running, tools, smtp):
    inbox, settings = smtp
    running = make_running(Settings(smtp=settings))
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    sender.send([scope.heartbeat()])
    told = route(Email(to=("ada@example.org",)))
    running.collector.writer.do(
        lambda writes: writes.put_document(ROUTE, told.key, told.model_dump_json(), AT, "ada")
    )
    rounds = AlertRound(running.collector, Teller(settings, LOOPBACK))

    rounds.go()
    assert inbox.mails == []
    running.clock.later(minutes=11)
    for _ in range(3):
        rounds.go()
        running.clock.later(seconds=20)
    assert [mail["Subject"] for _, mail in inbox.mails] == ["[critical] Spinning disk 2: No sign of life"]
    sender.send([scope.heartbeat()], spool_id="spool-b")
    rounds.go()
    running.clock.later(minutes=3)
    rounds.go()
    assert [mail["Subject"] for _, mail in inbox.mails[1:]] == ["[over] Spinning disk 2: No sign of life"]


def test_what_could_not_be_told_waits_through_a_restart(make_running, tools, smtp):
    inbox, settings = smtp
    running = make_running()
    sender = running.sender()
    sender.send([tools.Scope(sender, start_at=running.clock()).heartbeat()])
    told = route(Email(to=("ada@example.org",)))
    running.collector.writer.do(
        lambda writes: writes.put_document(ROUTE, told.key, told.model_dump_json(), AT, "ada")
    )
    rounds = AlertRound(running.collector, Teller(SmtpSettings(), LOOPBACK))
    running.clock.later(minutes=11)
    rounds.go()
    with running.collector.store.reading() as reads:
        waiting = waiting_on(reads, [told])["staff"]
        assert (waiting.n_failed, len(waiting.began)) == (1, 1)
        assert "No mail server" in reads.audit(1)[0].detail

    again = AlertRound(running.collector, Teller(settings, LOOPBACK))
    again.go()
    assert inbox.mails == []
    running.clock.later(minutes=2)
    again.go()
    assert len(inbox.mails) == 1


@pytest.fixture
def lost(make_running, tools):
    """Return what makes a collector that has just lost its instrument, with routes, and what goes a round there."""

    def make(smtp_settings, *routes: Route):
        running = make_running()
        sender = running.sender()
        rounds = AlertRound(running.collector, Teller(smtp_settings, LOOPBACK))
        sender.send([tools.Scope(sender, start_at=running.clock()).heartbeat()])
        for one in routes:
            document = (ROUTE, one.key, one.model_dump_json(), AT, "ada")
            running.collector.writer.do(lambda writes, document=document: writes.put_document(*document))
        running.clock.later(minutes=11)
        return running, rounds

    return make


def test_one_address_that_is_refused_does_not_repeat_the_mail_to_the_others(lost, smtp):
    inbox, settings = smtp
    told = route(Email(to=("ada@example.org", "gone@example.org")))
    running, rounds = lost(settings, told)
    for _ in range(5):
        rounds.go()
        running.clock.later(hours=1)
    assert [to for to, _ in inbox.mails] == [["ada@example.org"]]
    with running.collector.store.reading() as reads:
        assert "gone@example.org" in waiting_on(reads, [told])["staff"].error


def test_route_that_cannot_even_be_tried_keeps_nobody_else_from_being_told(lost, smtp, caplog, monkeypatch):
    inbox, settings = smtp
    odd = Route(key="a", name="A", channel=Email(to=("eve@example.org",)), gathers_s=0)
    _, rounds = lost(settings, odd, route(Email(to=("ada@example.org",))))
    send = Teller.send

    def send_or_trip(self, route, message):  # as the library of mail headers does over x@[
        if route.key == "a":
            raise AttributeError("all_defects")
        send(self, route, message)

    monkeypatch.setattr(Teller, "send", send_or_trip)
    rounds.go()
    assert [to for to, _ in inbox.mails] == [["ada@example.org"]]
    assert "Telling route a failed" in caplog.text


class FullDisk:
    """A store's writing side that reads, commits what changes nothing, and takes nothing more."""

    def __init__(self, writes) -> None:
        self._writes = writes

    def __getattr__(self, name: str):
        if name.startswith(("put_", "add_", "remove_")):
            raise StoreError("The disk is full.")
        return getattr(self._writes, name)


def test_message_that_cannot_be_noted_is_not_sent_again_and_again(lost, smtp, monkeypatch):
    """As on a full disk: what waits is stored, that it was told cannot be."""
    inbox, settings = smtp
    told = Route(key="staff", name="Staff", channel=Email(to=("ada@example.org",)), gathers_s=60)
    running, rounds = lost(settings, told)
    rounds.go()
    running.clock.later(seconds=60)
    do = running.collector.writer.do
    with monkeypatch.context() as patched:
        patched.setattr(running.collector.writer, "do", lambda job: do(lambda writes: job(FullDisk(writes))))
        for _ in range(4):
            with suppress(StoreError):
                rounds.go()
            running.clock.later(seconds=20)
    rounds.go()
    assert len(inbox.mails) == 1
    with running.collector.store.reading() as reads:
        waiting = waiting_on(reads, [told])["staff"]
    assert (len(waiting.began), len(waiting.told_at)) == (0, 1)


def test_acknowledgement_written_while_a_round_looks_is_kept(lost, monkeypatch):
    running, rounds = lost(SmtpSettings())
    rounds.go()
    with running.collector.store.reading() as reads:
        (key,) = book_of(reads)
    running.clock.later(hours=2)  # from here on it is told in hours: the alert is written anew
    look = rounds._looker.look

    def look_slowly(*args):
        running.collector.writer.do(
            lambda writes: acknowledge(writes, key, "ada", running.clock(), "on my way")
        )
        return look(*args)

    monkeypatch.setattr(rounds._looker, "look", look_slowly)
    rounds.go()
    with running.collector.store.reading() as reads:
        alert = book_of(reads)[key]
    assert (alert.acknowledged_by, alert.comment) == ("ada", "on my way")
    assert alert.what.endswith("h")


def test_collector_that_was_away_itself_calls_nobody_silent_at_once(lost, tools):
    running, _ = lost(SmtpSettings())  # and this is its restart, eleven minutes after its last sign of life
    rounds = AlertRound(running.collector, Teller(SmtpSettings(), LOOPBACK))
    found = []
    for _ in range(3):
        rounds.go()
        with running.collector.store.reading() as reads:
            found.append([alert.what % alert.values for alert in book_of(reads).values()])
        running.clock.later(minutes=5, seconds=10)
    assert found == [[], [], ["No sign of life for 21 min"]]
    again = AlertRound(running.collector, Teller(SmtpSettings(), LOOPBACK))
    again.go()
    with running.collector.store.reading() as reads:
        assert [alert.away_since for alert in book_of(reads).values()] == [None]  # what fires goes on


def test_trouble_of_any_name_stops_no_alerts(running_on, open_store, tools):
    """On every engine: PostgreSQL indexes no text of thousands of characters and holds no NUL, and a round is one transaction."""
    running = running_on(open_store())
    sender = running.sender()
    scope, letters = tools.Scope(sender, start_at=running.clock()), random.Random(1)
    name = "".join(letters.choices("abcdefghijklmnopqrstuvwxyz_", k=9_000))
    errors = [
        scope.event().model_copy(update={"severity": Mattering.ERROR, "event": f"a{name}{n}"})
        for n in range(2)
    ]
    part = PartHealth(name="a\0b", state="stopped")
    assert sender.send([*errors, scope.heartbeat(parts=(part,))]).json()["flagged"] == []
    AlertRound(running.collector, Teller(SmtpSettings(), OutgoingSettings())).go()
    with running.collector.store.reading() as reads:
        keys = sorted(book_of(reads))
    assert [key[:20] for key in keys] == [
        "agent_error|scope-1|",
        "agent_error|scope-1|",
        "part_stopped|scope-1",
    ]
    assert max(map(len, keys)) == 300
