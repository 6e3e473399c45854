"""A run as it goes: numbers for people, and lines of JSON for machines."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
from rich.console import Console

from agent.hardware.numbers import frame_numbers, watched_numbers
from agent.quality.watch import json_watcher, numbers_table


def printed(numbers: dict) -> str:
    out = StringIO()
    Console(file=out, width=120).print(numbers_table(numbers))
    return out.getvalue()


def test_numbers_of_a_frame_are_those_of_its_pixels():
    frame = np.full((50, 80), 200, np.uint16)
    frame[10, 10:40] = 3000
    frame[0, 0] = 4095
    numbers = frame_numbers(frame, 12)
    assert (numbers["least_adu"], numbers["largest_adu"], numbers["full_scale_adu"]) == (200, 4095, 4095)
    assert numbers["beads_adu"] == 3000, "one defect does not say how bright the beads are"
    assert numbers["field_adu"] == 200
    assert numbers["clipped_fraction"] == 1 / frame.size
    assert numbers["mean_adu"] == frame.mean()


def test_focus_score_is_that_of_brenner_over_the_squared_mean():
    pixels = np.random.default_rng(4).integers(0, 4000, (31, 45)).astype(np.uint16)
    wide = pixels.astype(float)
    brenner = np.mean((wide[:, 2:] - wide[:, :-2]) ** 2) + np.mean((wide[2:] - wide[:-2]) ** 2)
    assert np.isclose(frame_numbers(pixels, 12)["focus_score"], brenner / wide.mean() ** 2)


def test_large_frame_is_watched_in_its_middle():
    frame = np.zeros((1500, 2000), np.uint16)
    frame[750, 1000] = 77
    frame[0, 0] = 99
    assert watched_numbers(frame, 16)["largest_adu"] == 77


def test_table_shows_level_clipping_and_counts():
    frame = np.full((50, 80), 2048, np.uint16)
    frame[:5] = 4095
    shown = printed(frame_numbers(frame, 12))
    assert "100 % of full scale" in shown and "10 % clipped" in shown and "4095" in shown


def test_table_shows_readings():
    shown = printed({"setting_percent": 40.0, "power_mw": 3.21})
    assert "Setting (%)" in shown and "40" in shown and "3.21" in shown


def test_machines_get_a_line_of_json_for_each_event():
    out = StringIO()
    watcher = json_watcher(Console(file=out, width=20))
    watcher.say("A sentence that is much longer than the console is wide.")
    watcher.on_frames(3)
    watcher.on_numbers({"power_mw": float("nan"), "setting_percent": 10.0})
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each["event"] for each in told] == ["said", "progress", "numbers"]
    assert told[2] == {"event": "numbers", "power_mw": None, "setting_percent": 10.0}
