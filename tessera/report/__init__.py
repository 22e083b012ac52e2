"""Report: what happened, with pictures, and the record of every run."""

from tessera.report.page import ReportReport, report

__all__ = ["ReportReport", "report"]
