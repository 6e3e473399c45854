"""The chain and the signature against computations written without our code."""

from __future__ import annotations

import hashlib
import random

import pytest

from agent.records import wire


def digest(*parts: bytes) -> bytes:
    sha = hashlib.new("sha256")
    for part in parts:
        sha.update(part)
    return sha.digest()


def records_of(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(300)) for _ in range(rng.randrange(1, 40))]


def chain_of(records: list[bytes], chain: str = wire.CHAIN_START) -> str:
    for record in records:
        chain = wire.chain_next(chain, record)
    return chain


@pytest.mark.parametrize("seed", range(20))
def test_chain_equals_an_independent_computation(seed: int) -> None:
    value = bytes(32)
    for record in records_of(seed):
        value = digest(value, digest(record))
    assert chain_of(records_of(seed)) == value.hex()


@pytest.mark.parametrize("seed", range(20))
def test_chain_does_not_depend_on_batch_boundaries(seed: int) -> None:
    records = records_of(seed)
    cut = random.Random(seed).randrange(len(records) + 1)
    assert chain_of(records[cut:], chain_of(records[:cut])) == chain_of(records)


@pytest.mark.parametrize("seed", range(20))
def test_chain_sees_every_flip_loss_swap_and_repeat(seed: int) -> None:
    records = [b"a", b"b", *records_of(seed)]
    at = random.Random(seed).randrange(len(records))
    flipped = [*records[:at], bytes([*records[at][:-1], 0xFF]), *records[at + 1 :]]
    forgeries = [flipped, records[:at] + records[at + 1 :], [records[1], records[0], *records[2:]]]
    forgeries += [[*records, records[at]], [b"".join(records)]]
    assert chain_of(records) not in {chain_of(forgery) for forgery in forgeries if forgery != records}


def test_chain_binds_the_skipped_range() -> None:
    expected = digest(bytes(32), b"skipped 3 9").hex()
    assert wire.chain_skip(wire.CHAIN_START, 3, 9) == expected
    assert wire.chain_skip(wire.CHAIN_START, 3, 10) != expected
    assert wire.chain_skip(wire.CHAIN_START, 39, 9) != wire.chain_skip(wire.CHAIN_START, 3, 99)


def test_skip_cannot_be_passed_off_as_a_record() -> None:
    assert wire.chain_next(wire.CHAIN_START, b"skipped 3 9") != wire.chain_skip(wire.CHAIN_START, 3, 9)


HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Scopestamp-Spool": "8d3f2b1c",
    "Scopestamp-Agent": "agt-0",
    "scopestamp-first-seq": "17",
    "Scopestamp-Signature": "not part of itself",
}


def test_signing_bytes_are_stable() -> None:
    assert wire.signing_bytes("post", "/v1/ingest?x=1", HEADERS, b"body") == (
        b"scopestamp-request-v1\n"
        b"POST\n"
        b"/v1/ingest?x=1\n"
        b"scopestamp-agent:agt-0\n"
        b"scopestamp-first-seq:17\n"
        b"scopestamp-spool:8d3f2b1c\n"
        b"230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    )


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/v1/ingest?x=1", HEADERS, b"body"),
        ("POST", "/v1/ingest?x=2", HEADERS, b"body"),
        ("POST", "/v1/ingest?x=1", HEADERS | {"Scopestamp-Spool": "other"}, b"body"),
        ("POST", "/v1/ingest?x=1", HEADERS | {"Scopestamp-New": ""}, b"body"),
        ("POST", "/v1/ingest?x=1", HEADERS, b"bodies"),
    ],
    ids=["method", "query", "header", "new header", "body"],
)
def test_signature_covers(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    original = wire.signing_bytes("POST", "/v1/ingest?x=1", HEADERS, b"body")
    assert wire.signing_bytes(method, path, headers, body) != original


def test_signature_leaves_out_what_proxies_change() -> None:
    original = wire.signing_bytes("POST", "/", HEADERS, b"")
    through_proxy = {name.upper(): value for name, value in reversed(HEADERS.items())} | {"Via": "1.1 proxy"}
    assert wire.signing_bytes("POST", "/", through_proxy, b"") == original


@pytest.mark.parametrize("n_bytes", [0, 31, 33, 64])
def test_agent_id_needs_a_whole_key(n_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes; got {n_bytes}"):
        wire.agent_id_of(bytes(n_bytes))
