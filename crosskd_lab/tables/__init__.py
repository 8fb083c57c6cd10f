"""Numbers as data frames: where they come from, what they say together, and in plain English.

Nothing here imports torch.
"""

from crosskd_lab.tables.claims import CLAIMS, compare_claims, conflict_claim, judge_claims
from crosskd_lab.tables.measured import (
    beside,
    compare_rows,
    measured_curves,
    measured_rows,
    measured_runs,
    whole_again,
)
from crosskd_lab.tables.ordering import Ordering, by_pair, find_ordering, tell_ordering
from crosskd_lab.tables.report import report_paragraph
from crosskd_lab.tables.sources import AP_COLUMNS, curves, paper_table, recorded, yours
from crosskd_lab.tables.stats import Paired, difference_to_baseline, paired, points, summarise

__all__ = [
    "AP_COLUMNS",
    "Ordering",
    "CLAIMS",
    "Paired",
    "beside",
    "compare_claims",
    "compare_rows",
    "conflict_claim",
    "by_pair",
    "curves",
    "difference_to_baseline",
    "find_ordering",
    "judge_claims",
    "measured_curves",
    "measured_rows",
    "measured_runs",
    "paired",
    "paper_table",
    "points",
    "recorded",
    "report_paragraph",
    "summarise",
    "tell_ordering",
    "whole_again",
    "yours",
]
