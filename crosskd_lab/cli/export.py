"""``crosskd-lab export``: a trained detector as files for stock mmdet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    saved: Annotated[
        str,
        typer.Argument(metavar="RUN_OR_CHECKPOINT", help="A run, a file, or a shipped teacher."),
    ],
    out: Annotated[Path, typer.Option(help="The .pth or .safetensors file to write.")],
    config: Annotated[
        str | None, typer.Option(help="What a bare checkpoint file was trained with.")
    ] = None,
) -> None:
    """Write a detector's weights and config for stock mmdet, which needs nothing of this lab."""
    from ..engine.export import export as write

    checkpoint, written = write(saved, out, config)
    if checkpoint.suffix == ".pth":
        print(f"mmdet.apis.init_detector({str(written)!r}, {str(checkpoint)!r}) opens it")
    else:
        print(f"{checkpoint}: the weights of the detector that {written} describes")
