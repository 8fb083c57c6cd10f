"""What counting target conflict costs on top of the teacher's plain inference at batch 8.

    python benchmarks/conflict.py [--batches 20] [--batch 8] [--size 160] [--teacher CONFIG]

Times the same preprocessed batches, made in memory, with an untrained teacher: its plain
detections, and the conflict with a pocket student's assigner counted into a tally. Run it while
nothing else runs. The bar: counting takes <= 1.10 of plain inference.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from step import batch_of

from crosskd_lab.analysis.conflict import find_conflict
from crosskd_lab.analysis.tally import Tally
from crosskd_lab.configs import RANDOM, detector_of, read_config
from crosskd_lab.pair import build_pair
from crosskd_lab.training import prepare_engine
from crosskd_lab.training.run import quiet, settle


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes, the device's queue included."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Print both times a batch and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--teacher", default="pocket/gfl_r18_w32")
    options = parser.parse_args()
    prepare_engine()
    with quiet():
        student = detector_of(read_config("pocket/gfl_r18_w16")).model
        model = detector_of(read_config(options.teacher)).model
        model.bbox_head.num_classes = student.bbox_head.num_classes
        pair = build_pair(student, dict(config=model, checkpoint=RANDOM))
        settle(pair.teacher)
        settle(pair.student).eval()
    made = batch_of(options.batch, options.size)
    batch = pair.student.data_preprocessor(made)
    tally = Tally(pair.teacher_head.strides, [str(k) for k in range(pair.teacher_head.num_classes)])
    plain, counted = [], []
    with torch.no_grad():
        for _ in range(options.batches + 3):  # by turns, so that both meet the same machine
            plain.append(seconds(lambda: pair.teacher(**batch, mode="predict")))
            counted.append(seconds(lambda: tally.add(find_conflict(pair, **batch))))
    one, other = (1000 * statistics.median(times[3:]) for times in (plain, counted))
    print(f"plain inference {one:.1f} ms a batch, conflict {other:.1f} ms, ratio {other / one:.2f}")


if __name__ == "__main__":
    main()
