"""``crosskd-lab export``: a trained detector as files for stock mmdet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Saved, SavedConfig


def export(
    saved: Saved,
    out: Annotated[Path, typer.Option(help="The .pth or .safetensors file to write.")],
    config: SavedConfig = None,
) -> None:
    """Write a detector's weights and config for stock mmdet, which needs nothing of this lab."""
    from ..engine.export import export as write

    checkpoint, written = write(saved, out, config)
    if checkpoint.suffix == ".pth":
        print(f"mmdet.apis.init_detector({str(written)!r}, {str(checkpoint)!r}) opens it")
    else:
        print(f"{checkpoint}: the weights of the detector that {written} describes")
