"""Decompression that stops: nothing beyond the limit is ever expanded."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
import zstandard

from server.errors import RefusedError
from server.expand import expand

LIMIT = 1 << 20


def zstd(body: bytes, **parameters: int) -> bytes:
    wanted = zstandard.ZstdCompressionParameters.from_level(3, **parameters)
    return zstandard.ZstdCompressor(compression_params=wanted).compress(body)


def zstd_streamed(body: bytes) -> bytes:
    """Return a frame that does not say how large its content is."""
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(body) + stream.flush()


PACKERS = {"zstd": zstd, "gzip": gzip.compress, "identity": bytes}


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("n", [0, 1, 70_000, LIMIT], ids=["nothing", "a byte", "some", "the limit"])
def test_expand_returns_what_was_packed(encoding, n):
    body = bytes(i % 251 for i in range(n))
    assert expand(PACKERS[encoding](body), encoding, LIMIT) == body


@pytest.mark.parametrize("encoding", PACKERS)
def test_one_byte_beyond_the_limit_is_too_large(encoding):
    with pytest.raises(RefusedError) as caught:
        expand(PACKERS[encoding](bytes(LIMIT + 1)), encoding, LIMIT)
    assert (caught.value.status, caught.value.refusal.error) == (413, "too_large")


@pytest.mark.parametrize("pack", [zstd, zstd_streamed, gzip.compress], ids=["zstd", "streamed zstd", "gzip"])
def test_bomb_is_refused_before_it_expands(pack):
    bomb = pack(bytes(200 << 20))
    encoding = "gzip" if pack is gzip.compress else "zstd"
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError):
            expand(bomb, encoding, LIMIT)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * LIMIT


@pytest.mark.parametrize("pack", [zstd, zstd_streamed, gzip.compress], ids=["zstd", "streamed zstd", "gzip"])
def test_every_truncation_is_malformed(pack):
    encoding = "gzip" if pack is gzip.compress else "zstd"
    whole = pack(b"some records, some more records\n" * 20)
    for n in range(len(whole)):
        with pytest.raises(RefusedError) as caught:
            expand(whole[:n], encoding, LIMIT)
        assert caught.value.refusal.error == "malformed_batch", n


def test_window_that_would_take_much_memory_is_refused():
    with pytest.raises(RefusedError) as caught:
        expand(zstd(bytes(64 << 20), window_log=26), "zstd", 512 << 20)
    assert caught.value.refusal.error == "malformed_batch"


def test_second_frame_is_malformed():
    with pytest.raises(RefusedError, match="follow"):
        expand(zstd(b"one") + zstd(b"two"), "zstd", LIMIT)
