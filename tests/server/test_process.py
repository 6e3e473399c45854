"""The collector as a process of its own: started, killed, started again."""

from __future__ import annotations

import ipaddress
import json
import random
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.store import SqliteStore

N_KILLS = 4


@contextmanager
def serving(data: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run ``python -m server run`` until the block ends, and give its process and a client."""
    command = [sys.executable, "-m", "server", "run", "--data", str(data), "--port", "0", "--json", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["event"] == "ready"
            with httpx.Client(base_url=ready["url"], timeout=30) as client:
                yield process, client
        finally:
            process.kill()
            process.communicate(timeout=30)


def command(
    *words: str, data: Path | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    at = ["--data", str(data)] if data else []
    return subprocess.run(
        [sys.executable, "-m", "server", *words, *at],
        capture_output=True,
        text=True,
        input=given,
        timeout=60,
    )


def said(*words: str, data: Path, given: str | None = None) -> dict[str, str]:
    done = command(*words, "--json", data=data, given=given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def enrolled(tools, data: Path, client: httpx.Client):
    code = said("join-code", "new", "--instrument", "Disk", "--site", "Basel", data=data)["join_code"]
    sender = tools.Sender(client)
    assert sender.enrol(code).status_code == 200
    return sender


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals to send")
def test_asked_to_stop_it_ends_with_success(tmp_path, number):
    with serving(tmp_path) as (process, client):
        assert client.get("/healthz").status_code == 200
        assert (tmp_path / "url.json").exists()
        process.send_signal(number)
        rest, log = process.communicate(timeout=30)

    assert process.returncode == 0, log
    assert rest == "", "stdout has one line, for machines"
    assert not (tmp_path / "url.json").exists()


@pytest.mark.faults
def test_killed_again_and_again_it_loses_nothing_and_adds_nothing_twice(tmp_path, tools):
    dice = random.Random(20260504)
    with serving(tmp_path) as (_, client):
        sender = enrolled(tools, tmp_path, client)
    scope = tools.Scope(sender)
    beats = [scope.heartbeat() for _ in range(600)]

    acked = 0
    for _ in range(N_KILLS):
        with serving(tmp_path) as (process, sender.client):
            stop_at = acked + dice.randint(20, 120)
            while acked < stop_at:
                acked = send_some(sender, tools, beats, acked, dice)
            kill_amid_a_batch(process, sender, tools, beats, acked)
    with serving(tmp_path) as (_, sender.client):
        stored = sender.cursor("spool-a").json()["acked"]
        assert stored >= acked, "what was acknowledged is there"
        while acked < len(beats):
            acked = send_some(sender, tools, beats, acked, dice)

    store = SqliteStore(tmp_path)
    with store.reading() as reads:
        rows = reads.records(limit=10_000)
        spool = reads.spool(sender.agent_id, "spool-a")
    intact = store._writer.execute("PRAGMA integrity_check").fetchone()
    store.close()
    assert [row.record_id for row in rows] == [str(beat.record_id) for beat in beats]
    assert (spool.mark, spool.chain, intact) == (600, tools.chain_over(beats), ("ok",))


def send_some(sender, tools, beats, acked: int, dice: random.Random) -> int:
    """Send a batch that starts at the last acknowledgement known, as an agent does that lost a reply."""
    batch = beats[acked : acked + dice.randint(1, 9)]
    reply = sender.send(batch, first_seq=acked + 1, prev=tools.chain_over(beats[:acked]))
    assert reply.status_code == 200, reply.text
    return reply.json()["acked"]


def kill_amid_a_batch(process, sender, tools, beats, acked: int) -> None:
    """Put a batch on the wire by hand and kill the collector before its answer is read."""
    batch = beats[acked : acked + 40]
    with pytest.raises(httpx.TransportError):
        with httpx.Client(
            base_url=sender.client.base_url, timeout=30, transport=KillOnSend(process)
        ) as client:
            steady, sender.client = sender.client, client
            try:
                sender.send(batch, first_seq=acked + 1, prev=tools.chain_over(beats[:acked]))
            finally:
                sender.client = steady
        pytest.fail("the answer came although the collector was killed")


class KillOnSend(httpx.HTTPTransport):
    """Kills the collector while the body of the request is being sent."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__()
        self.process = process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()

        def pieces() -> Iterator[bytes]:
            yield body[:-1]
            yield body[-1:]
            self.process.kill()
            self.process.wait()

        request.stream = Pieces(pieces())
        return super().handle_request(request)


class Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


# The commands beside a running collector


def test_first_admin_signs_in_by_link_while_it_runs(tmp_path):
    with serving(tmp_path) as (_, client):
        link = said("sign-in-link", data=tmp_path)["url"]
        assert link.startswith(str(client.base_url))
        assert client.get(link, follow_redirects=True).status_code == 200
        assert client.get("/admin").status_code == 200


@pytest.mark.parametrize("was_killed", [False, True])
def test_link_without_a_running_collector_says_what_to_do(tmp_path, was_killed):
    if was_killed:
        with serving(tmp_path) as (process, _):
            process.kill()
            process.wait(timeout=30)
        assert (tmp_path / "url.json").exists()
    done = command("sign-in-link", data=tmp_path)
    assert done.returncode == 1
    assert "--url" in done.stderr
    assert "Traceback" not in done.stderr


def test_token_opens_the_api(tmp_path):
    with serving(tmp_path) as (_, client):
        token = said("token", "new", "dashboard", data=tmp_path)["token"]
        answer = client.get("/v1/instruments", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (200, [])


def test_user_signs_in_with_the_password_read_from_stdin(tmp_path):
    said("user", "add", "ada", "--role", "admin", data=tmp_path, given="correct horse battery\n")
    with serving(tmp_path) as (_, client):
        form = {"name": "ada", "password": "correct horse battery"}
        assert client.post("/login", data=form).status_code == 303


def test_short_password_is_refused(tmp_path):
    done = command("user", "add", "ada", data=tmp_path, given="short\n")
    assert done.returncode == 1
    assert "12 characters" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("join-code", "new"),
        ("token", "new", "x", "--role", "king"),
        ("nonsense",),
        ("run", "--port", "70000"),
    ],
)
def test_wrong_use_ends_with_2(tmp_path, words):
    assert command(*words).returncode == 2


def test_it_refuses_the_network_without_tls(tmp_path):
    done = command("run", "--host", "0.0.0.0", "--port", "0", data=tmp_path)
    assert done.returncode == 1
    assert "without TLS" in done.stderr


def test_proxy_flag_lets_it_listen_beyond_loopback(tmp_path):
    with serving(tmp_path, "--host", "0.0.0.0", "--tls-ends-at-proxy") as (_, client):
        port = client.base_url.port
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_port_in_use_is_said_in_words(tmp_path):
    with serving(tmp_path / "a") as (_, client):
        done = command("run", "--port", str(client.base_url.port), data=tmp_path / "b")
    assert done.returncode == 1
    assert "Cannot listen" in done.stderr and "Traceback" not in done.stderr


def test_version_is_told():
    done = command("--version")
    assert done.returncode == 0
    assert done.stdout.strip()[0].isdigit()


def test_removed_token_opens_nothing(tmp_path):
    with serving(tmp_path) as (_, client):
        token = said("token", "new", "dashboard", data=tmp_path)["token"]
        said("token", "remove", "dashboard", data=tmp_path)
        assert client.get("/v1/agents", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert command("token", "remove", "dashboard", data=tmp_path).returncode == 1


def test_backup_of_a_running_collector_is_a_collector(tmp_path, tools):
    with serving(tmp_path / "first") as (_, client):
        sender = enrolled(tools, tmp_path / "first", client)
        beats = [tools.Scope(sender).heartbeat() for _ in range(20)]
        sender.send(beats)
        (tmp_path / "second").mkdir()
        copy = tmp_path / "second" / "collector.sqlite"
        assert command("backup", str(copy), data=tmp_path / "first").returncode == 0
        assert command("backup", str(copy), data=tmp_path / "first").returncode == 1, (
            "never over an older one"
        )

    with serving(tmp_path / "second") as (_, sender.client):
        assert sender.cursor("spool-a").json()["acked"] == 20
        assert sender.send(beats).json()["n_added"] == 0


def test_it_speaks_tls_with_a_certificate_of_its_own(tmp_path):
    certificate, key = self_signed(tmp_path)
    config = tmp_path / "server.toml"
    config.write_text(
        f"[listen]\nhost = '127.0.0.1'\ntls_certificate = '{certificate}'\ntls_key = '{key}'\n",
        encoding="utf-8",
    )
    said("user", "add", "ada", data=tmp_path, given="correct horse battery\n")
    with serving(tmp_path, "--config", str(config)) as (_, plain):
        assert plain.base_url.scheme == "https"
        trusted = ssl.create_default_context(cafile=certificate)
        with httpx.Client(base_url=plain.base_url, verify=trusted) as client:
            reply = client.post("/login", data={"name": "ada", "password": "correct horse battery"})
            assert reply.status_code == 303
            assert "secure" in reply.headers["set-cookie"].lower()
            assert "max-age" in reply.headers["strict-transport-security"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "collector")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
