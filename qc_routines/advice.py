"""What to check when a figure is out of limits, likeliest cause first.

A `Cause` is written once, beside its routine, and says which figures it explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qc_routines.verdict import Status, Verdict

FAKLARIS_TABLE_1 = "after Faklaris et al. 2022, doi:10.1083/jcb.202107093, Table 1"
OURS = "Scopestamp, from first principles"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that may be wrong.

    Attributes
    ----------
    finding : str
        The cause in a few words.
    check : str
        How a person finds out, and what mends it.
    figures : tuple of str
        Figures that it puts out of limits.
    source : str
        Who says so.
    """

    finding: str
    check: str
    figures: tuple[str, ...]
    source: str


def likely_causes(verdict: Verdict, causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes that may explain a verdict, likeliest first.

    A cause counts for each figure out of limits that it explains; of causes that explain as many, the one that is
    listed first goes first, because the lists are written in the order in which to check. A cause that explains
    nothing is left out.
    """
    out = {j.figure.stem for j in verdict.judgements if j.status in (Status.FAIL, Status.WARN)}
    explaining = [cause for cause in causes if out & set(cause.figures)]
    return tuple(sorted(explaining, key=lambda cause: -len(out & set(cause.figures))))
