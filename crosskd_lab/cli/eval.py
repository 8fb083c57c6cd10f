"""``crosskd-lab eval``: the AP of a run, a checkpoint or a shipped teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, Saved, SavedConfig, SkipBad, Split
from .show import print_table


def eval(
    saved: Saved,
    config: SavedConfig = None,
    data: Data = None,
    split: Split = "val",
    out: Annotated[Path | None, typer.Option(help="Also write the numbers to this .json.")] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Measure the COCO AP of a detector: a run's last checkpoint, a file, a shipped teacher."""
    from ..engine.evaluate import evaluate, find_saved
    from ..engine.metrics import NAMES
    from ..files import open_folder, write_whole

    found = find_saved(saved, config)
    if out is not None:
        open_folder(out.parent)
    measured = evaluate(found.config, found.checkpoint, data, split, skip_bad)
    print(f"{saved}: {found.checkpoint.name} on {split}")
    row = {name: measured.get(name) for name in NAMES}  # None: the set has no object of that size
    print_table([row], {name: name for name in NAMES})
    if out is not None:
        write_whole(out, json.dumps(measured, indent=2) + "\n")
