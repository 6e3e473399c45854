"""The hardware process, and the handle by which others start it, call it and end it."""

from agent.hardware.order import ChildOrder
from agent.hardware.process import HardwareProcess

__all__ = ["ChildOrder", "HardwareProcess"]
