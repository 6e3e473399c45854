"""What can be wrong with a profile file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import ScopestampError


@dataclass(frozen=True)
class ProfileProblem:
    """One problem, with the place where it is.

    Attributes
    ----------
    line : int, optional
        Line in the file, from 1.
    key : str
        Key as it is written, such as ``objectives[1].na``.
    text : str
        What was expected and what came.
    """

    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.key}: {self.text}" if self.key else f"{place}{self.text}"


class ProfileError(ScopestampError):
    """A profile that cannot be used; `problems` has each reason with line and key."""

    def __init__(self, where: str, problems: Sequence[ProfileProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{where} is no valid profile:", *(f"  {item}" for item in problems)]))
