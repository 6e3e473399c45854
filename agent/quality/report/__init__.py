"""The report of one QC run, as a page and on paper."""

from agent.quality.report.command import report_command, write_report
from agent.quality.report.content import Report, report_of
from agent.quality.report.page import page
from agent.quality.report.paper import paper

__all__ = ["Report", "page", "paper", "report_command", "report_of", "write_report"]
