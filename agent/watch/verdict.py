"""What was found out about the completeness of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agent.records import Scalar

Completeness = Literal["complete", "settled", "incomplete"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How complete a dataset is, and what its format says of it.

    Attributes
    ----------
    completeness : str
        complete: the format's mark is there; settled: the format has no mark; incomplete: something is missing.
    note : str
        How that was judged.
    n_frames, n_frames_expected : int or None
        Planes that are there, and planes promised.
    is_final : bool
        Of an incomplete one: the writer has closed it, so waiting for more is in vain.
    facts : dict
        What a reader says of it.
    reader : str or None
        The reader.
    problems : tuple of str
        What could not be learnt.
    """

    completeness: Completeness
    note: str
    n_frames: int | None = None
    n_frames_expected: int | None = None
    is_final: bool = False
    facts: dict[str, Scalar] = field(default_factory=dict)
    reader: str | None = None
    problems: tuple[str, ...] = ()


def by_count(n_frames: int, n_expected: int | None, mark: str, *, is_closed: bool) -> Verdict:
    """Return the verdict on a dataset whose frames are counted, `is_closed` when its writer left its mark.

    >>> by_count(3, 3, "the index", is_closed=True).completeness
    'complete'
    >>> by_count(2, 3, "the index", is_closed=True).is_final
    True
    """
    if is_closed and (n_expected is None or n_frames >= n_expected):
        return Verdict("complete", f"{mark} is there, with {n_frames} frames", n_frames, n_expected)
    promised = "" if n_expected is None else f" of {n_expected}"
    if is_closed:
        note = f"{mark} is there, but only {n_frames}{promised} frames"
    else:
        note = f"{mark} is missing; {n_frames}{promised} frames are known"
    return Verdict("incomplete", note, n_frames, n_expected, is_final=is_closed)
