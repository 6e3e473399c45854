"""Results, protocols and catalogue."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from qc_routines._threads import side_by_side
from qc_routines.catalogue import ROUTINES
from qc_routines.conditions import Optics
from qc_routines.errors import InputError
from qc_routines.protocols import sequence_s, time_series, z_stack
from qc_routines.results import Figure, Measurement, input_of

OPTICS = Optics("widefield", 1.4, 1.518, 520)
OWN = ("psf", "registration")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), np.float32("nan")], ids=str)
def test_figure_that_is_no_number_has_no_value(value) -> None:
    figure = Figure("width", value, "um", value)
    assert figure.value is figure.uncertainty is None


def test_figure_holds_plain_floats() -> None:
    figure = Figure("width[a]", np.float32(0.5), "um", np.float64(0.1), 3)
    assert (type(figure.value), type(figure.uncertainty), figure.stem) == (float, float, "width")


def test_measurement_finds_its_figures_and_cannot_change() -> None:
    run = Measurement(routine="demo", version="1", figures=(Figure("width", 2.0, "um"),), n_used=1)
    assert (run.value("width"), run.figure("width").unit) == (2.0, "um")
    with pytest.raises(KeyError, match="has no figure 'height'"):
        run.value("height")
    with pytest.raises(FrozenInstanceError):
        run.n_used = 2
    with pytest.raises(InputError, match="got twice width"):
        Measurement(routine="demo", version="1", figures=run.figures * 2, n_used=1)


@pytest.mark.parametrize(
    "view", [lambda a: a, np.asfortranarray, lambda a: a.astype(">u2"), lambda a: a[::-1][::-1]], ids=range(4)
)
def test_hash_is_of_the_pixels_and_not_of_the_layout(view) -> None:
    array = np.arange(12, dtype="<u2").reshape(3, 4)
    found = input_of("dark", view(array))
    assert found.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert (found.shape, found.dtype) == ((3, 4), "uint16")


def test_hash_of_nothing() -> None:
    assert input_of("dark", np.zeros((0, 3))).sha256 == hashlib.sha256(b"").hexdigest()


# ---- threads


@pytest.mark.parametrize("n_threads", [1, 3, None])
def test_results_come_in_order(n_threads: int | None) -> None:
    assert side_by_side(lambda i: i * i, range(20), n_threads) == [i * i for i in range(20)]


def test_error_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda i: 1 // i, [1, 0, 2], 2)


# ---- protocols


def test_durations() -> None:
    assert sequence_s(z_stack(("a", "b"), 50, 4, 0.2)) == pytest.approx(2 * 21 * 0.15)
    assert sequence_s(time_series("a", 100, 10)) == pytest.approx(2)
    assert sequence_s(time_series("a", 100, 10, interval_s=30)) == pytest.approx(300)


@pytest.mark.parametrize("name", OWN)
def test_sequence_is_one_that_useq_knows(name: str) -> None:
    useq = pytest.importorskip("useq")
    protocol = ROUTINES[name].protocol(OPTICS)
    sequence = useq.MDASequence(**protocol.sequence)
    n_slices = round(protocol.sequence["z_plan"]["range"] / protocol.sequence["z_plan"]["step"]) + 1
    assert len(list(sequence)) == n_slices * len(protocol.sequence["channels"])
    assert protocol.duration_s > 0
    assert protocol.steps


@pytest.mark.parametrize("name", OWN)
def test_routine_is_complete(name: str) -> None:
    routine = ROUTINES[name]
    assert routine.title
    assert routine.inputs
    assert all(figure.unit and figure.meaning for figure in routine.figures.values())
    expected = routine.theory(OPTICS) if name == "psf" else routine.theory()
    assert {item.figure for item in expected} <= set(routine.figures)
    assert all(item.unit == routine.figures[item.figure].unit for item in expected)
    assert any(figure.metroloj for figure in routine.figures.values())


def test_catalogue_names_its_routines() -> None:
    assert set(OWN) <= set(ROUTINES)
    assert all(name == routine.name for name, routine in ROUTINES.items())


def test_import_of_the_catalogue_brings_no_plotting() -> None:
    program = "import sys, qc_routines.catalogue; print('matplotlib' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert (
        subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout.strip() == "False"
    )
