"""A running Micro-Manager Studio, seen from outside over its ZMQ bridge."""

from drivers.mmstudio.driver import StudioDriver
from drivers.mmstudio.options import StudioOptions

__all__ = ["StudioDriver", "StudioOptions"]
