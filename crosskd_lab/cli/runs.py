"""``crosskd-lab runs``: what has been run here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

SHOWN = ("run", "method", "options", "seed", "status", "AP", "AP50", "APS", "APM", "APL", "created")


def runs(
    root: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = Path("runs"),
    csv: Annotated[Path | None, typer.Option(help="Also write all columns to this file.")] = None,
) -> None:
    """List the runs below a folder with their method, seed, status and AP."""
    from crosskd_lab.errors import LabError
    from crosskd_lab.files import write_whole
    from crosskd_lab.record import runs_frame

    frame = runs_frame(root)
    if frame.empty:
        raise LabError(
            f"no runs below {root}: 'crosskd-lab race' or 'crosskd-lab train' makes some"
        )
    table = Table(box=None, pad_edge=False)
    columns = [name for name in SHOWN if name in frame]
    for name in columns:
        table.add_column(name, justify="right" if name.startswith("AP") else "left")
    for _, row in frame.iterrows():
        table.add_row(*(_cell(row[name]) for name in columns))
    Console().print(table)
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
        print(f"wrote {csv}")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.1f}"
    return str(value)
