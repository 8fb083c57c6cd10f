"""What measuring Fig. 6's distances costs beside the validation that it comes with.

    python benchmarks/dynamics.py [--steps 60] [--data DIR] [--images 64] [--repeats 3]

Trains a pocket CrossKD student for some steps, so that a validation has detections to sort out,
then times whole validations, and in each of them what the hook adds. Run it while nothing else
runs. The bar: the distances take < 5 % of a validation.

The first look also reads the images and runs the teacher on them; every later one hears what the
validation's own pass says of them. Only the later ones are held against the bar, as a run has many.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.metrics import Distances
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.runs.race import race_scenes


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes, the device's queue included, without what it prints."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


class Timed(Distances):
    """Distances that keep how long each look took."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.looks: list[float] = []

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """As ever, with a stopwatch."""
        self.looks.append(seconds(lambda: Distances.after_val_epoch(self, runner, metrics)))


def trained(steps: int, data: str | None, folder: str, hook: Timed) -> Any:
    """A runner whose student has been trained, with this hook for its distances."""
    settings = {"schedule.steps": steps, "schedule.validate_every": steps, "schedule.warmup": 1}
    prepare_engine()
    runner = build_runner(
        load_experiment("pocket/crosskd", settings, data or race_scenes()), folder
    )
    runner._hooks = [hook if isinstance(h, Distances) else h for h in runner.hooks]
    seconds(runner.train)
    return runner


def main() -> None:
    """Print the times and their ratio in one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--data", help="COCO-format folder; the race's scenes by default")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    hook = Timed(given.images)
    with tempfile.TemporaryDirectory() as folder:
        runner = trained(given.steps, given.data, folder, hook)
        first, runs = hook.looks.pop(), []
        runner.model.eval()
        for _ in range(given.repeats):
            runs.append(seconds(runner.val_loop.run))
        held_out = len(runner.val_loop.dataloader.dataset)
    look = statistics.median(hook.looks)
    validation = statistics.median(runs) - look
    print(
        f"distances on {min(given.images, held_out)} images {look:.2f} s (first look {first:.2f} s)"
        f" beside a validation of {held_out} images, {validation:.2f} s: {look / validation:.1%} of"
        f" it, bar 5 %; median of {given.repeats}, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
