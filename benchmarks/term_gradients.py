"""How hard each loss pulls at the student's weights beside the detection losses, and the clip.

    python benchmarks/term_gradients.py pocket/gid pocket/ld [--at 1 10 100] [--seed 0] [--data DIR]

Trains each experiment in the fast regime up to the last of the steps and takes, before each of
them, the gradient of every term with respect to all of the student's weights. One line a term, as a
table in Markdown: its L2 norms, and in the last column, at the last of the steps, the cosine with
the gradient of the detection losses together. The line "clipped" counts the steps up to each at
which the whole gradient was longer than the schedule's clip, methods' own weights included.
"""

from __future__ import annotations

import argparse
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from torch import Tensor

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.gradients import DETECTION, loss_terms
from crosskd_lab.report.sweep_spec import REGIMES
from crosskd_lab.runs.race import race_scenes
from crosskd_lab.taps import collect


class TermGradients(Hook):
    """Keeps ``found[step][term]``, each term's gradient as one vector, and the clipped steps.

    Args:
        steps: Before which of them to look; 1 is the first.
        clip: Largest norm of the whole gradient.
    """

    def __init__(self, steps: list[int], clip: float) -> None:
        self.steps, self.clip = steps, clip
        self.found: dict[int, dict[str, Tensor]] = {}
        self.clipped: list[int] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Look, and leave running statistics and random numbers as they were."""
        if runner.iter + 1 not in self.steps:
            return
        model, own = runner.model, deepcopy(runner.model.state_dict())
        with torch.random.fork_rng(devices=[]):
            batch = model.data_preprocessor(deepcopy(data_batch), True)
            self.found[runner.iter + 1] = term_gradients(
                model, batch["inputs"], batch["data_samples"]
            )
        model.load_state_dict(own)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Hear from the engine how long the gradient was."""
        norm = MessageHub.get_current_instance().get_scalar("train/grad_norm").current()
        if norm > self.clip:
            self.clipped.append(runner.iter + 1)


def term_gradients(model: Any, inputs: Tensor, samples: list[Any]) -> dict[str, Tensor]:
    """The gradient of every loss, and of the detection losses together, as flat vectors."""
    taps, detection = collect(model.pair, inputs, samples, model.tap)
    methods = {str(place): method for place, method in enumerate(model.methods)}
    by_source = loss_terms(taps, detection, methods)
    terms = {DETECTION: torch.stack([*by_source.pop(DETECTION).values()]).sum()}
    terms |= {name: value for losses in by_source.values() for name, value in losses.items()}
    weights = [w for w in model.pair.student.parameters() if w.requires_grad]
    return {
        name: torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(
                    value, weights, retain_graph=True, allow_unused=True, materialize_grads=True
                )
            ]
        )
        for name, value in terms.items()
    }


def look(name: str, steps: list[int], seed: int, data: Path) -> TermGradients:
    """Train an experiment up to the last step and keep what was seen on the way."""
    cfg = load_experiment(name, REGIMES["fast"] | {"fast": False}, data, seed)  # as recorded
    cfg.train_cfg.max_iters = max(steps)
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=10**9)
    hook = TermGradients(steps, cfg.optim_wrapper.clip_grad.max_norm)
    with tempfile.TemporaryDirectory() as folder:
        runner = build_runner(cfg, folder)
        runner.register_hook(hook, "LOWEST")
        runner.train()
    return hook


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiments", nargs="+")
    parser.add_argument("--at", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="COCO-format folder; the race's by default")
    given = parser.parse_args()
    prepare_engine()
    steps = sorted(given.at)
    print("| experiment | term |", " | ".join(f"step {step}" for step in steps), "| cosine |")
    print("|---" * (len(steps) + 3) + "|")
    for name in given.experiments:
        seen = look(name, steps, given.seed, given.data or race_scenes())
        last = seen.found[steps[-1]]
        for term, gradient in last.items():
            norms = [f"{seen.found[step][term].norm():.3g}" for step in steps]
            cosine = torch.cosine_similarity(gradient, last[DETECTION], 0)
            print("|", " | ".join([name, term, *norms, f"{cosine:.2f}"]), "|")
        clipped = [str(sum(at <= step for at in seen.clipped)) for step in steps]
        print("|", " | ".join([name, f"clipped at {seen.clip:g}", *clipped, "–"]), "|", flush=True)


if __name__ == "__main__":
    main()
