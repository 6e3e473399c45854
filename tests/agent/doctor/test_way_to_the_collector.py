"""The way to the collector: a real one, one that is away, one with a certificate nobody vouches for."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.doctor import Level, Place
from agent.doctor import collector as module
from agent.doctor.collector import collector as checked
from agent.outbox import Identity, enrol
from agent.settings import AgentSettings


def _place(url: str, data_dir: Path, **more) -> Place:
    return Place(AgentSettings.model_validate({"collector": {"url": url, **more}}), data_dir)


def test_enrolled_agent_is_known_and_one_with_another_key_is_refused(tmp_path, collector, by_name):
    data_dir = tmp_path / "data"
    place = _place(collector.url, data_dir)
    identity = Identity.load_or_create(data_dir)
    found = by_name(checked(place))
    assert (found["enrolment"].level, found["connection"].level) == (Level.PROBLEM, Level.GOOD)

    enrol(identity, collector.url, collector.join_code(), instrument_name="Confocal 2")
    found = by_name(checked(place))
    assert {one.level for one in found.values()} == {Level.GOOD}
    assert identity.agent_id in found["enrolment"].says
    assert abs(found["clock"].facts["clock_offset_s"]) < 60

    for name in ("agent.key", "identity.json"):  # another key: to the collector the same as a revoked one
        (data_dir / name).unlink()
    found = by_name(checked(place))
    assert found["enrolment"].level is Level.PROBLEM
    assert "refused (401)" in found["enrolment"].says


def test_no_address_is_a_note_and_a_closed_port_a_problem(tmp_path, by_name):
    assert by_name(checked(Place(AgentSettings(), tmp_path)))["address"].level is Level.NOTE
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = by_name(checked(_place(url, tmp_path)))
    assert (found["name"].level, found["connection"].level) == (Level.GOOD, Level.PROBLEM)


def test_unknown_name_is_told(tmp_path, by_name, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = by_name(checked(_place("https://collector.invalid", tmp_path)))
    assert (found["name"].level, found["name"].advice[:21]) == (Level.PROBLEM, "Is the network up, an")


def test_proxy_is_told_without_its_password(tmp_path, by_name, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://anna:hush@proxy.example.org:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    found = by_name(checked(_place("https://collector.invalid", tmp_path)))
    assert found["network"].says == "through the proxy proxy.example.org:3128"


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that ends in five days, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=5))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


@pytest.fixture
def tls_port(certificate):
    """A port where TLS is spoken with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(60)

    def shake_hands():
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            try:
                context.wrap_socket(line, server_side=True).close()
            except OSError:  # the other side did not trust us
                line.close()

    thread = threading.Thread(target=shake_hands)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_certificate_nobody_vouches_for_is_told_and_one_that_ends_soon(
    tmp_path, tls_port, certificate, by_name
):
    url = f"https://127.0.0.1:{tls_port}"
    found = by_name(checked(_place(url, tmp_path)))
    assert (found["TLS"].level, found["connection"].level) == (Level.PROBLEM, Level.GOOD)
    found = by_name(checked(_place(url, tmp_path, ca_file=str(certificate))))
    assert found["TLS"].level is Level.WARNING
    assert found["TLS"].facts["certificate_days"] == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(("offset_s", "level"), [(0.3, Level.GOOD), (-3600.0, Level.WARNING)])
def test_clock_that_is_off_is_warned_of(offset_s, level):
    assert module._clock(offset_s).level is level
