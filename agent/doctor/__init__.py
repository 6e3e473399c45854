"""``scopestamp doctor``: what a person would ask on the phone, asked of the computer itself."""

from agent.doctor.examine import Examination, examine
from agent.doctor.finding import Finding, Level, Place

__all__ = ["Examination", "Finding", "Level", "Place", "examine"]
