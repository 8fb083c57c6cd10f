"""How fast one rounding grows: does the fast form drift further than a change of the last digit?

    python benchmarks/rounding.py pocket/crosskd [--steps 10] [--seed 0] [--data DIR]

Trains an experiment four times for a few steps: in its reference form; in its fast form; and twice
in the reference form from weights changed by 6e-8 (half a unit of float32's last digit) and by 2e-7
of themselves. One line a step, as a table in Markdown: how far the sum of the losses is from the
reference's, relative to it. A fast form at fault would be away at step 1, or would grow faster.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.runs.race import race_scenes


def sums(config: str, steps: int, seed: int, data: Path, fast: bool, change: float) -> list[float]:
    """The sum of all losses at each step."""
    settings = {"schedule.steps": steps, "schedule.warmup": 3, "fast": fast}
    cfg = load_experiment(config, settings, data, seed)
    with tempfile.TemporaryDirectory() as folder:
        runner = build_runner(cfg, folder)
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in runner.model.parameters():
                noise = torch.randn(weight.shape, generator=random).to(weight)
                weight.mul_(1 + change * noise)
        batches, found = iter(runner.train_dataloader), []
        runner.model.train()
        for _ in range(steps):
            losses = runner.model.train_step(next(batches), runner.optim_wrapper)
            found.append(float(losses["loss"]))
            for schedule in runner.param_schedulers:
                schedule.step()
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    words = parser.parse_args()
    prepare_engine()
    forms = {"fast": (True, 0.0), "6e-8": (False, 6e-8), "2e-7": (False, 2e-7)}
    common = (words.config, words.steps, words.seed, words.data or race_scenes())
    reference = sums(*common, False, 0.0)
    found = [sums(*common, *form) for form in forms.values()]
    print(f"| step | {' | '.join(forms)} |\n|---|" + "---|" * len(forms))
    for step, (right, *others) in enumerate(zip(reference, *found, strict=True), 1):
        cells = " | ".join(f"{abs(other - right) / right:.1e}" for other in others)
        print(f"| {step} | {cells} |")


if __name__ == "__main__":
    main()
