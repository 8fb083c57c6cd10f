"""``crosskd-lab pretrain``: a backbone from the side task."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    config: Annotated[str, typer.Argument(help="Detector config whose backbone to pretrain.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    count: Annotated[int, typer.Option(min=1, help="Crops to train on.")] = 12000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the crops.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and crops.")] = 0,
) -> None:
    """Pretrain a backbone by naming single shapes, the pocket scale's stand-in for ImageNet."""
    from ..engine.pretrain import pretrain as run
    from ..engine.train import prepare_engine

    prepare_engine()
    command = ["crosskd-lab", *sys.argv[1:]]
    accuracy = run(config, out, count=count, epochs=epochs, seed=seed, command=command)
    print(f"{out}: {accuracy:.1f} % of held-out single shapes named right")
