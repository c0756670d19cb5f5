"""The report of one or several races: a page, Markdown for a model card, a picture."""

from __future__ import annotations

from weightgen.compare.report.write import FILES, is_report, write_report

__all__ = ["FILES", "is_report", "write_report"]
