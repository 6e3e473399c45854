from __future__ import annotations

import random
import struct

import google_crc32c
import pytest

from agent.outbox.frames import MAGIC, ZSTD, Damage, Frame, FrameReader, FrameWriter, scan

RECORDS = [f'{{"n":{n},"text":"{"abc" * (n % 7) * 40}"}}'.encode() for n in range(60)]

record_of = FrameReader().record


def packed() -> bytes:
    writer = FrameWriter()
    return b"".join(writer.pack(seq, record) for seq, record in enumerate(RECORDS, 1))


def test_a_frame_lies_on_disk_as_documented():
    frame = FrameWriter().pack(7, b"{}")
    magic, length, crc, seq, flags = struct.unpack("<4sIIQH", frame[:22])
    assert (magic, length, seq, flags, frame[22:]) == (MAGIC, 2, 7, 0, b"{}")
    assert crc == google_crc32c.value(struct.pack("<IQH", 2, 7, 0) + b"{}")


def test_no_text_can_hold_the_magic():
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode()
    for cut in range(1, 4):
        with pytest.raises(UnicodeDecodeError):
            MAGIC[:cut].decode()


def test_frames_come_back_in_order():
    frames = list(scan(packed()))
    assert [record_of(frame) for frame in frames] == RECORDS
    assert [frame.seq for frame in frames] == list(range(1, 61))


def test_only_what_shrinks_is_compressed():
    (short,) = scan(FrameWriter().pack(1, b"x" * 200))
    (long,) = scan(FrameWriter().pack(1, b"x" * 2000))
    (noise,) = scan(FrameWriter().pack(1, random.Random(1).randbytes(2000)))
    assert [frame.flags & ZSTD for frame in (short, long, noise)] == [0, ZSTD, 0]


def test_every_flipped_bit_is_noticed_and_costs_at_most_one_frame():
    data = packed()
    chance = random.Random(2)
    for _ in range(400):
        at = chance.randrange(len(data) * 8)
        spoiled = bytearray(data)
        spoiled[at // 8] ^= 1 << at % 8
        items = list(scan(bytes(spoiled)))
        left = [record_of(item) for item in items if isinstance(item, Frame)]
        assert any(isinstance(item, Damage) for item in items)
        assert len(left) == 59 and all(record in RECORDS for record in left)


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_torn_tail_is_damage_and_never_a_record(cut):
    data = packed()
    items = list(scan(data[:-cut]))
    assert isinstance(items[-1], Damage) and items[-1].is_tail
    assert len(items) == 60


def test_garbage_between_frames_is_passed_over():
    writer = FrameWriter()
    data = writer.pack(1, b"{}") + MAGIC * 3 + bytes(50) + writer.pack(2, b"[]")
    first, damage, second = scan(data)
    assert (first.seq, damage, second.seq) == (1, Damage(24, 86, is_tail=False), 2)


@pytest.mark.parametrize("data", [b"", bytes(10_000), b"\xff" * 10_000, MAGIC * 100])
def test_what_is_no_segment_holds_no_frame(data):
    assert [item for item in scan(data) if isinstance(item, Frame)] == []


def test_a_length_that_claims_too_much_is_no_frame():
    head = struct.pack("<4sIIQH", MAGIC, 2**32 - 1, 0, 1, 0)
    assert list(scan(head + bytes(100))) == [Damage(0, 122, is_tail=True)]
