"""What counting target conflict costs beside the teacher's plain inference at batch 8.

    python benchmarks/conflict.py [--teacher NAME] [--data DIR] [--batches 20] [--batch 8]

Times the same preprocessed batches by turns: the teacher's network alone, its plain inference
(network and detections), and conflict with a pocket student's assigner, counted into a histogram.
Run it while nothing else runs. The bar: counting takes <= 1.10 of plain inference.

Beside the teacher's network, counting pays for mmdet's assigner, which takes images one by one, and
for nothing else of note: the student's network does not run, and no loss is computed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from crosskd_lab.conflict import ConflictHistogram, find_conflict
from crosskd_lab.runs.dataset_analysis import Analysis, open_analysis
from crosskd_lab.runs.race import race_scenes


def milliseconds(work: Callable[[], object]) -> float:
    """How long a call takes, the device's queue included."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began)


def count(analysis: Analysis, histogram: ConflictHistogram, batch: dict) -> None:
    """Find a batch's conflict and count it."""
    histogram.add(find_conflict(analysis.pair, **batch))


def main() -> None:
    """Print the three times a batch, and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="gfl_r18_w32")
    parser.add_argument("--student", default="pocket/gfl_r18_w16")
    parser.add_argument("--data")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    data = options.data or race_scenes()
    analysis = open_analysis(options.teacher, options.student, data)
    pair = analysis.pair
    histogram = ConflictHistogram(pair.teacher_head.strides, analysis.classes, analysis.areas)
    network, plain, counted = [], [], []
    last = (options.batches + 3) * options.batch  # three batches to warm up
    with torch.no_grad():
        for batch in analysis.batches(options.batch, last=last):
            network.append(milliseconds(partial(pair.teacher, **batch, mode="tensor")))
            plain.append(milliseconds(partial(pair.teacher, **batch, mode="predict")))
            counted.append(milliseconds(partial(count, analysis, histogram, batch)))
    alone, whole, ours = (statistics.median(times[3:]) for times in (network, plain, counted))
    print(f"a batch of {options.batch}: network {alone:.1f} ms, plain inference {whole:.1f} ms,")
    print(f"conflict {ours:.1f} ms, {ours / whole:.2f} of plain inference,", end=" ")
    print(f"{ours / alone:.2f} of the network alone")


if __name__ == "__main__":
    main()
