"""The report of a diagnosis: its data, a page and a picture."""

from __future__ import annotations

from weightgen.diagnostics.report.write import FILES, check_directory, write_report

__all__ = ["FILES", "check_directory", "write_report"]
