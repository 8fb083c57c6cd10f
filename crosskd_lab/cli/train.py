"""``crosskd-lab train``: one experiment into one run folder."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import LabError


def train(
    config: Annotated[str, typer.Argument(help="A config file or a name such as pocket/crosskd.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace an entry.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A COCO-format folder; its classes are taken from it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/<config>-s<seed> by default.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of weights, order and augmentation; 0, or that of a run's config."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that are broken, and say which.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="fp32; or bf16, with float32 weights and losses, for a GPU.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, in the run's folder.")
    ] = False,
) -> None:
    """Train a detector, alone or with a teacher; Ctrl-C and --resume lose nothing but the step."""
    from ..engine.config import load_experiment
    from ..engine.hooks import last_checkpoint, saved_step
    from ..engine.train import StepBar
    from ..engine.train import train as run

    given = parse_settings(settings or [], tensorboard)
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


def parse_settings(pairs: list[str], tensorboard: bool = False) -> dict[str, Any]:
    """``["a.b=1", "c=x"]`` to ``{"a.b": 1, "c": "x"}``; values are Python literals or text.

    ``tensorboard`` adds mmengine's backend of that name to the ``vis_backends``.

    Raises:
        LabError: for an entry without ``=``.
    """
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise LabError(f"--set takes KEY=VALUE, for instance schedule.steps=400; got {pair!r}")
        try:
            parsed[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            parsed[key] = text
    if tensorboard:
        others = parsed.get("vis_backends", [])
        parsed["vis_backends"] = [*others, {"type": "TensorboardVisBackend"}]
    return parsed
