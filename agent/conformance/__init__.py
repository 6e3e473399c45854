"""Hold a vendor's adapter against what a metadata agent needs: `scopestamp conformance`."""

from agent.conformance.choice import Permission
from agent.conformance.exercise import Pace
from agent.conformance.findings import Finding, Report, Severity
from agent.conformance.run import run_conformance

__all__ = ["Finding", "Pace", "Permission", "Report", "Severity", "run_conformance"]
