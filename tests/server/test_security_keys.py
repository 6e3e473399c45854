"""Keys of agents: rotated, overlapping, revoked, and good after a year of silence (ASVS 5.0 11.1.1, 13.2.1, 13.3.4)."""

from __future__ import annotations

import base64
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.clock import Clock
from agent.errors import CollectorRefusedError, IdentityError
from agent.outbox import Identity
from agent.outbox.collector import Collector
from agent.outbox.rotating import rotate_key
from agent.records import wire
from server.access.enrolment import enrol_job
from server.keeping.verify import verify
from server.settings import EnrolmentSettings, Settings


@pytest.fixture
def identity(running, tmp_path) -> Identity:
    """Give an agent's own identity, enrolled at the running collector."""
    identity = Identity.load_or_create(tmp_path / "agent", "scope-1")
    request = wire.EnrolRequest(
        join_code=running.join_code(), public_key=identity.public_key, instrument_id="scope-1", instrument_name="x",
        hostname="pc", platform="Windows 11", version="0.1.0",
    )  # fmt: skip
    job = enrol_job(request, base64.b64decode(identity.public_key), running.clock())
    running.collector.writer.do(job)
    return identity


def ask(running, identity) -> wire.CursorReply:
    collector = Collector(running.url, identity, clock=Clock())
    try:
        return collector.cursor("spool-a")
    finally:
        collector.close()


def test_new_key_is_in_force_at_once_also_in_a_running_agent(running, identity, tmp_path):
    """ASVS 5.0 13.2.1, 13.3.4."""
    before = identity.public_key
    other_process = Identity.load_or_create(tmp_path / "agent")
    reply = rotate_key(identity, running.url, clock=Clock())
    assert reply.agent_id == identity.agent_id
    for one in (identity, other_process, Identity.load_or_create(tmp_path / "agent")):
        assert one.public_key != before and one.agent_id == reply.agent_id
        assert ask(running, one).acked == 0
    with running.collector.store.reading() as reads:
        assert base64.b64encode(reads.agent(reply.agent_id).public_key).decode() == identity.public_key
        assert [one.action for one in reads.audit(1)] == ["key rotated"]


def test_reply_that_was_lost_does_no_harm(running, identity):
    """ASVS 5.0 13.3.4: the collector knows the new key, the disk the old one; doing it again mends that."""
    following = identity.next_key()
    public_key = base64.b64encode(following.public_key().public_bytes_raw()).decode()
    proof = base64.b64encode(following.sign(wire.rotation_bytes(identity.agent_id, public_key))).decode()
    collector = Collector(running.url, identity, clock=Clock())
    first = collector.rotate(wire.RotateRequest(public_key=public_key, proof=proof))
    collector.close()
    assert ask(running, identity).acked == 0  # the old key still signs
    again = rotate_key(identity, running.url, clock=Clock())
    assert (again.old_until, identity.public_key) == (first.old_until, public_key)
    assert ask(running, identity).acked == 0


def test_old_key_ends_with_the_overlap(running, identity, tmp_path):
    """ASVS 5.0 13.3.4."""
    thief = tmp_path / "thief"
    thief.mkdir()
    for name in ("agent.key", "identity.json"):
        (thief / name).write_bytes((tmp_path / "agent" / name).read_bytes())
    stolen = Identity.load_or_create(thief)
    rotate_key(identity, running.url, clock=Clock())
    assert ask(running, stolen).acked == 0
    running.clock.later(days=8)
    with pytest.raises(CollectorRefusedError) as refused:
        ask(running, stolen)
    assert refused.value.error == "bad_signature"
    assert ask(running, identity).acked == 0


def test_revoked_agent_is_out_at_once_with_every_key_and_gets_no_new_one(running, identity):
    """ASVS 5.0 13.3.4."""
    rotate_key(identity, running.url, clock=Clock())
    running.collector.writer.do(lambda writes: writes.revoke_agent(identity.agent_id, running.clock()))
    for forbidden in (
        lambda: ask(running, identity),
        lambda: rotate_key(identity, running.url, clock=Clock()),
    ):
        with pytest.raises(CollectorRefusedError) as refused:
            forbidden()
        assert refused.value.error == "agent_revoked"


def test_agent_that_was_away_for_a_year_goes_on(running, identity):
    running.clock.later(days=400)
    assert ask(running, identity).acked == 0
    assert rotate_key(identity, running.url, clock=Clock()).agent_id == identity.agent_id


@pytest.mark.parametrize(
    "wrong",
    [
        lambda agent, new: new.sign(wire.rotation_bytes("agt-another", "x")),
        lambda agent, new: Ed25519PrivateKey.generate().sign(b"x"),
        lambda agent, new: b"",
    ],
    ids=["another's", "not the key's", "none"],
)
def test_key_without_proof_is_not_taken(running, wrong):
    """ASVS 5.0 11.1.1: nobody binds a key that is not theirs."""
    agent = running.sender()
    new = Ed25519PrivateKey.generate()
    told = {
        "public_key": base64.b64encode(new.public_key().public_bytes_raw()).decode(),
        "proof": base64.b64encode(wrong(agent, new)).decode(),
    }
    body = wire.RotateRequest(**told).model_dump_json().encode()
    headers = agent.signed("POST", wire.ROTATE_PATH, {}, body)
    reply = running.client.post(wire.ROTATE_PATH, content=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (400, "bad_proof")


def test_batches_of_the_old_key_are_verified_for_ever(running, tools):
    """ASVS 5.0 16.4.2: signatures outlive their keys."""
    agent = running.sender()
    lines = [tools.Scope(agent).heartbeat() for _ in range(2)]
    assert agent.send(lines[:1]).status_code == 200
    assert agent.rotate().status_code == 200
    assert agent.send(lines[1:], first_seq=2, prev=tools.chain_over(lines[:1])).status_code == 200
    running.clock.later(days=400)
    with running.collector.store.reading() as reads:
        verdict = verify(reads)
    assert (verdict.n_batches, verdict.problems) == (2, [])


def test_crash_while_the_key_is_replaced_leaves_a_good_identity(running, identity, tmp_path, monkeypatch):
    """The names are written first: whichever key lies there afterwards belongs to them."""
    from agent.outbox import identity as room

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "move_file", crash)
    with pytest.raises(KeyboardInterrupt):
        rotate_key(identity, running.url, clock=Clock())
    monkeypatch.undo()
    back = Identity.load_or_create(tmp_path / "agent")
    assert back.agent_id == identity.agent_id
    rotate_key(back, running.url, clock=Clock())
    assert ask(running, Identity.load_or_create(tmp_path / "agent")).acked == 0


def test_key_of_another_computer_is_refused(identity, tmp_path):
    Identity.load_or_create(tmp_path / "other")
    (tmp_path / "agent" / "agent.key").write_bytes((tmp_path / "other" / "agent.key").read_bytes())
    with pytest.raises(IdentityError, match="belongs to"):
        Identity.load_or_create(tmp_path / "agent")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions in the folder's access list")
def test_keys_are_private_to_their_owner(running, identity, tmp_path):
    """ASVS 5.0 13.3.2, 14.2.4: also the next key, and after the rotation."""
    identity.next_key()
    assert (tmp_path / "agent" / "agent.key.next").stat().st_mode & 0o777 == 0o600
    rotate_key(identity, running.url, clock=Clock())
    assert (tmp_path / "agent" / "agent.key").stat().st_mode & 0o777 == 0o600


def test_agent_waits_until_its_fingerprint_is_approved(make_running, tools):
    """ASVS 5.0 8.2.1: with auto_approve off, a join code alone opens nothing; the agent is told to ask again."""
    running = make_running(Settings(enrolment=EnrolmentSettings(auto_approve=False)))
    agent = tools.Sender(running.client)
    assert agent.enrol(running.join_code()).status_code == 200
    line = [tools.Scope(agent).heartbeat()]
    early = agent.send(line)
    assert (early.status_code, early.json()["error"], early.headers["Retry-After"]) == (
        503,
        "awaiting_approval",
        "60",
    )
    assert agent.agent_id in early.json()["message"]
    with running.browser("root", "admin") as browser:
        page = browser.get("/admin").text
        assert agent.agent_id in page
        form = {"form_token": page.split('name="form_token" value="')[1].split('"')[0]}
        assert browser.post(f"/admin/agents/{agent.agent_id}/approve").status_code == 403
        assert browser.post(f"/admin/agents/{agent.agent_id}/approve", data=form).status_code == 200
        assert browser.post(f"/admin/agents/{agent.agent_id}/approve", data=form).status_code == 404
    assert agent.send(line).status_code == 200
