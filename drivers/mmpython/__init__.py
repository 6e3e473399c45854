"""Pycro-Manager's Python back end in this process: a plain pymmcore core and the acquisition engine over it."""

from drivers.mmpython.driver import PythonBackendDriver
from drivers.mmpython.plain_core import is_java_core, is_python_core

__all__ = ["PythonBackendDriver", "is_java_core", "is_python_core"]
