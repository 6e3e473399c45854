from __future__ import annotations

import pytest

from agent.outbox.cursor import Cursor, Position

FIRST = Position(5, "ab" * 32, 6, 1, 400)
SECOND = Position(9, "cd" * 32, 11, 8, 90)


@pytest.fixture
def cursor(tmp_path):
    cursor = Cursor(tmp_path)
    cursor.create()
    return cursor


def test_a_new_cursor_stands_at_the_start(cursor):
    assert cursor.load() == Position()


def test_the_last_position_saved_is_loaded(cursor, tmp_path):
    for position in (FIRST, SECOND, FIRST, SECOND):
        cursor.save(position)
        assert Cursor(tmp_path).load() == position


def test_the_file_never_grows(cursor, tmp_path):
    size = (tmp_path / "cursor").stat().st_size
    for _ in range(5):
        cursor.save(SECOND, sync=True)
    assert (tmp_path / "cursor").stat().st_size == size == 256


@pytest.mark.parametrize("byte", range(0, 256, 5))
def test_a_spoiled_slot_leaves_the_other(cursor, tmp_path, byte):
    cursor.save(FIRST)
    cursor.save(SECOND)
    data = bytearray((tmp_path / "cursor").read_bytes())
    data[byte] ^= 0x10
    (tmp_path / "cursor").write_bytes(data)
    assert cursor.load() in (FIRST, SECOND)


@pytest.mark.parametrize("data", [b"", b"short", bytes(256), b"\xff" * 256])
def test_a_spoiled_file_is_no_position(cursor, tmp_path, data):
    (tmp_path / "cursor").write_bytes(data)
    assert cursor.load() is None


def test_a_cursor_that_is_not_there_is_no_position_and_can_be_saved(tmp_path):
    cursor = Cursor(tmp_path)
    assert cursor.load() is None
    cursor.save(FIRST)
    assert cursor.load() == FIRST
