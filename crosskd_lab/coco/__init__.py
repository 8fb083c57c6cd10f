"""Detection sets in COCO format: find, check, clean, take a part of, look at.

Only reads a set; whatever is derived from it goes to a folder that the caller names.
"""

from crosskd_lab.coco.check import Report, check, clean
from crosskd_lab.coco.faults import Problem
from crosskd_lab.coco.samples import Sample, draw_samples, sample, subset
from crosskd_lab.coco.sets import Split, find_split, find_splits, read_classes

__all__ = [
    "Problem",
    "Report",
    "Sample",
    "Split",
    "check",
    "clean",
    "draw_samples",
    "find_split",
    "find_splits",
    "read_classes",
    "sample",
    "subset",
]
