"""A Grafana dashboard over ``/metrics``: the fleet, and one instrument."""

from __future__ import annotations

from importlib.resources import files


def dashboard_json() -> str:
    """Return the dashboard as Grafana imports it."""
    return files("server.grafana").joinpath("dashboard.json").read_text("utf-8")
