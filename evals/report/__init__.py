"""One HTML page for one run, or for several compared with the first of them.

    mathrl report RUN [RUN ...] [--out FILE]

The page is a single file that opens offline, in light and dark, and asks nobody for anything:
figures with their intervals, curves, a map by subject and level, lengths, verdicts, problems that
were fixed and broken side by side, and all samples to search and filter.
"""

from mathrl.evals.report.page import Fact, Report, ReportTask, render_report, write_report
from mathrl.evals.report.runs import load_report

__all__ = ["Fact", "Report", "ReportTask", "load_report", "render_report", "write_report"]
