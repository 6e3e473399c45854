from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.errors import IdentityError
from agent.outbox import Identity
from agent.records.wire import agent_id_of, signing_bytes

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


def test_an_identity_is_made_once(data_dir):
    first = Identity.load_or_create(data_dir)
    assert Identity.load_or_create(data_dir) == first
    assert first.agent_id == agent_id_of(base64.b64decode(first.public_key))
    assert first.instrument_id.startswith("ins-")


def test_a_given_instrument_id_is_kept(data_dir):
    Identity.load_or_create(data_dir, "ins-confocal-2")
    assert Identity.load_or_create(data_dir).instrument_id == "ins-confocal-2"


def test_a_process_that_signs_nothing_knows_the_identity_without_its_key(data_dir):
    whole = Identity.load_or_create(data_dir, "ins-a")
    (data_dir / "agent.key").rename(data_dir / "elsewhere")
    known = Identity.known(data_dir, "ins-a")
    assert known == whole
    with pytest.raises(IdentityError, match="is gone"):
        known.sign("GET", "/", {}, b"")
    with pytest.raises(IdentityError, match=r"'ins-a'.*'ins-b'"):
        Identity.known(data_dir, "ins-b")


def test_another_instrument_id_is_refused_with_advice(data_dir):
    Identity.load_or_create(data_dir, "ins-a")
    with pytest.raises(IdentityError, match=r"'ins-a'.*'ins-b'.*new data folder"):
        Identity.load_or_create(data_dir, "ins-b")


@posix
def test_the_key_is_readable_by_its_owner_alone(data_dir):
    Identity.load_or_create(data_dir)
    key = data_dir / "agent.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    Identity.load_or_create(data_dir)
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_key_is_in_no_other_file_and_in_no_repr(data_dir):
    identity = Identity.load_or_create(data_dir)
    secret = (data_dir / "agent.key").read_text().splitlines()[1]
    others = [path for path in data_dir.iterdir() if path.name != "agent.key"]
    assert all(secret not in path.read_text() for path in others)
    assert "Private" not in repr(identity)


def spoil(name: str, content: str | None) -> object:
    def act(data_dir: Path) -> None:
        path = data_dir / name
        path.unlink() if content is None else path.write_text(content)

    return act


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (spoil("agent.key", None), "is gone"),
        (spoil("agent.key", "nonsense"), "no readable private key"),
        (spoil("identity.json", "{"), "no JSON"),
        (spoil("identity.json", "[]"), "should name"),
        (spoil("identity.json", json.dumps({"agent_id": "agt-0", "instrument_id": "i"})), "belongs to agt-0"),
    ],
    ids=["key lost", "key spoiled", "names spoiled", "names wrong", "names of another"],
)
def test_what_is_broken_is_told_and_never_replaced(data_dir, act, words):
    Identity.load_or_create(data_dir)
    act(data_dir)
    before = {path.name: path.read_bytes() for path in data_dir.iterdir()}
    with pytest.raises(IdentityError, match=words):
        Identity.load_or_create(data_dir)
    assert {path.name: path.read_bytes() for path in data_dir.iterdir()} == before


def test_a_crash_between_key_and_names_is_mended(data_dir):
    first = Identity.load_or_create(data_dir)
    (data_dir / "identity.json").unlink()
    assert Identity.load_or_create(data_dir).agent_id == first.agent_id


def test_a_folder_that_cannot_be_made_is_an_identity_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityError, match="full access"):
        Identity.load_or_create(tmp_path / "file")


def test_two_processes_at_once_get_one_identity(data_dir):
    code = "import sys, pathlib; from agent.outbox import Identity; sys.stdin.read(1); i = Identity.load_or_create(pathlib.Path(sys.argv[1])); print(i.agent_id, i.instrument_id)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("x")
        process.stdin.flush()
    assert len({process.communicate(timeout=60)[0] for process in processes}) == 1


def test_a_signature_covers_the_request(identity):
    headers = {"Scopestamp-Spool": "s", "Content-Type": "x"}
    signed = identity.sign("POST", "/v1/ingest", headers, b"body")
    assert signed["Scopestamp-Agent"] == identity.agent_id and signed["Content-Type"] == "x"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(identity.public_key))
    signature = base64.b64decode(signed["Scopestamp-Signature"])
    key.verify(signature, signing_bytes("POST", "/v1/ingest", signed, b"body"))
