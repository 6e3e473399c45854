"""Limits, verdicts and advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from qc_routines.advice import OURS, Cause, likely_causes
from qc_routines.catalogue import ROUTINES
from qc_routines.errors import InputError
from qc_routines.results import Figure, Measurement
from qc_routines.theory import Expected
from qc_routines.tolerances import Tolerance, read_tolerances
from qc_routines.verdict import Status, judge

LIMITS = Path(__file__).parents[2] / "config" / "qc_tolerances.toml"
THEORY = (Expected("width", 2.0, "um", "made_up", "nowhere"),)


def run(*figures: Figure) -> Measurement:
    return Measurement(routine="demo", version="1", figures=figures, n_used=3)


def limit(**more) -> Tolerance:
    return Tolerance(**{"routine": "demo", "figure": "width", "source": "a book", "verified": True} | more)


def status(value: float | None, rule: Tolerance, **more) -> Status:
    return judge(run(Figure("width", value, "um")), [rule], **more).status


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9, "fail"), (1.0, "warn"), (1.5, "pass"), (2.0, "pass"), (2.5, "warn"), (3.1, "fail")],
)
def test_value_between_limits(value: float, expected: str) -> None:
    rule = limit(fail_below=1.0, warn_below=1.2, warn_above=2.0, fail_above=3.0)
    assert status(value, rule) == expected


@pytest.mark.parametrize(("value", "expected"), [(2.9, "pass"), (3.1, "warn"), (4.1, "fail")])
def test_ratio_to_theory(value: float, expected: str) -> None:
    rule = limit(against="expected", warn_above=1.5, fail_above=2.0)
    verdict = judge(run(Figure("width", value, "um")), [rule], THEORY)
    assert verdict.status == expected
    assert (verdict.judgements[0].upper_limit, verdict.judgements[0].expected) == (3.0, THEORY[0])
    assert "width / expected: warn > 1.5, fail > 2 (a book; verified)" in verdict.judgements[0].rule


@pytest.mark.parametrize(
    ("value", "expected"), [(0.95, "pass"), (0.8, "warn"), (1.05, "pass"), (1.2, "warn")]
)
def test_difference_from_time_zero(value: float, expected: str) -> None:
    rule = limit(against="baseline", by="difference", warn_below=-0.1, warn_above=0.1)
    assert status(value, rule, baseline={"width": 1.0}) == expected


def test_figure_without_value_is_unknown() -> None:
    assert status(None, limit(warn_above=1)) is Status.UNKNOWN


def test_missing_theory_is_unknown() -> None:
    verdict = judge(run(Figure("width", 1.0, "um")), [limit(against="expected", warn_above=1)])
    assert (verdict.status, verdict.judgements[0].status) == (Status.UNKNOWN, Status.UNKNOWN)
    assert "no expected value" in verdict.judgements[0].rule


def test_first_run_is_not_unknown_for_want_of_a_baseline() -> None:
    rules = [limit(warn_above=2), limit(against="baseline", warn_above=1.1)]
    verdict = judge(run(Figure("width", 1.0, "um")), rules)
    assert verdict.status is Status.PASS
    assert [j.status for j in verdict.judgements] == ["pass", "unknown"]


def test_value_is_kept_and_worst_counts() -> None:
    figures = Figure("width", 9.0, "um", 0.1, 3), Figure("height", 1.0, "um"), Figure("free", 5.0, "1")
    rules = [limit(fail_above=3), limit(figure="height", warn_above=3), limit(routine="other", fail_above=0)]
    verdict = judge(run(*figures), rules)
    assert verdict.status is Status.FAIL
    assert [j.figure for j in verdict.judgements] == list(figures)
    assert [j.status for j in verdict.judgements] == ["fail", "pass", "unknown"]


def test_limit_holds_for_every_one_of_a_kind() -> None:
    figures = Figure("width[a]", 1.0, "um"), Figure("width[b]", 5.0, "um")
    verdict = judge(run(*figures), [limit(fail_above=3)])
    assert [j.status for j in verdict.judgements] == ["pass", "fail"]


def test_run_without_any_limit_is_unknown() -> None:
    assert judge(run(Figure("width", 1.0, "um"))).status is Status.UNKNOWN


# ---- limits as data


def test_shipped_limits_name_figures_that_exist() -> None:
    limits = read_tolerances(LIMITS)
    assert len(limits) >= 10
    for item in limits:
        if item.routine in ROUTINES:
            assert item.figure in ROUTINES[item.routine].figures, item


def test_shipped_limits_that_nobody_read_a_source_for_only_warn() -> None:
    for item in read_tolerances(LIMITS):
        assert item.source
        assert item.verified or item.fail_above is item.fail_below is None, item


def test_instrument_replaces_single_limits(tmp_path: Path) -> None:
    own = tmp_path / "microscope.toml"
    own.write_text(
        '[[psf]]\nfigure = "fwhm_x"\nagainst = "expected"\nwarn_above = 1.2\nsource = "us"\nverified = true\n'
    )
    general, mine = read_tolerances(LIMITS), read_tolerances(LIMITS, own)
    assert len(general) == len(mine)
    changed = [new for old, new in zip(general, mine, strict=True) if old != new]
    assert [(item.figure, item.warn_above, item.fail_above) for item in changed] == [("fwhm_x", 1.2, None)]


BAD = {
    "no TOML": "[[psf",
    "not a table array": "psf = 3",
    "unknown key": '[[psf]]\nfigure = "a"\nsource = "b"\nverified = true\nwarn_abov = 1.5',
    "no source": '[[psf]]\nfigure = "a"\nverified = true\nwarn_above = 1.5',
    "no limit": '[[psf]]\nfigure = "a"\nsource = "b"\nverified = true',
    "no number": '[[psf]]\nfigure = "a"\nsource = "b"\nverified = true\nwarn_above = "1.5"',
    "unknown comparison": '[[psf]]\nfigure = "a"\nsource = "b"\nverified = true\nwarn_above = 1\nagainst = "luck"',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_limits_are_refused_with_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "limits.toml").write_text(text)
    with pytest.raises(InputError, match=r"limits\.toml"):
        read_tolerances(tmp_path / "limits.toml")


# ---- advice


def test_causes_that_explain_most_come_first() -> None:
    causes = [
        Cause("nothing to do with it", "", ("depth",), OURS),
        Cause("explains one", "", ("width",), OURS),
        Cause("explains both", "", ("width", "height"), OURS),
        Cause("explains one, later", "", ("height",), OURS),
    ]
    rules = [limit(fail_above=3), limit(figure="height", warn_above=3)]
    verdict = judge(run(Figure("width", 9.0, "um"), Figure("height", 9.0, "um")), rules)
    found = [cause.finding for cause in likely_causes(verdict, causes)]
    assert found == ["explains both", "explains one", "explains one, later"]


@pytest.mark.parametrize("routine", [ROUTINES["psf"], ROUTINES["registration"]], ids=lambda r: r.name)
def test_causes_name_figures_that_exist(routine) -> None:
    assert {figure for cause in routine.causes for figure in cause.figures} <= set(routine.figures)
    assert all(cause.check and cause.source for cause in routine.causes)
