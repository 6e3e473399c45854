"""The listener: a small Java class that tells us of Micro-Manager Studio's events. EVENTS.md says what it says."""

from drivers.mmstudio.listener.build import CLASS_NAME, JAR_NAME, build, install

__all__ = ["CLASS_NAME", "JAR_NAME", "build", "install"]
