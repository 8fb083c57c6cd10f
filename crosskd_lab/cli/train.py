"""``crosskd-lab train``: one experiment into one run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, RunFolder, Settings, SkipBad, Tensorboard, parse_settings


def train(
    config: Annotated[str, typer.Argument(help="A config file or a name such as pocket/crosskd.")],
    settings: Settings = None,
    data: Data = None,
    out: RunFolder = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of weights, order and augmentation; 0, or that of a run's config."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    skip_bad: SkipBad = False,
    precision: Annotated[
        str | None, typer.Option(help="fp32; or bf16, with float32 weights and losses, for a GPU.")
    ] = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Train a detector, alone or with a teacher; Ctrl-C and --resume lose nothing but the step."""
    from ..engine.config import load_experiment
    from ..engine.hooks import last_checkpoint, saved_step
    from ..engine.train import StepBar
    from ..engine.train import train as run

    given = parse_settings(settings, tensorboard)
    given |= {} if precision is None else {"precision": precision}
    cfg = load_experiment(config, given, data, seed, skip_bad)
    stem = config.removesuffix(".py").strip("/").replace("/", "-")
    folder = out or Path("runs") / f"{stem}-s{cfg.randomness.seed}"
    begun = saved_step(last_checkpoint(folder)) if resume else 0
    bar = StepBar(cfg.train_cfg.get("max_iters", 0), folder.name, begun)
    try:
        results = run(cfg, folder, resume, ["crosskd-lab", *sys.argv[1:]], [bar])
    except KeyboardInterrupt:
        print(f"\nstopped; the same command with --resume goes on with {folder}", file=sys.stderr)
        raise
    finally:
        bar.close()
    shown = ", ".join(f"{k} {v:.1f}" for k, v in results.items() if k.startswith("AP"))
    print(f"{folder}: {shown or 'done; AP was not measured'}")
