"""``crosskd-lab runs``: what has been run here, and a hand on what is running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from .options import Csv, Wide
from .show import print_table, write_csv

SHOWN = ("run", "method", "options", "seed", "status", "AP", "AP50", "APS", "APM", "APL", "created")


def runs(
    root: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = Path("runs"),
    csv: Csv = None,
    wide: Wide = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="One line a method: mean AP, interval, seeds.")
    ] = False,
    tail: Annotated[
        Path | None, typer.Option(help="How a launched run stands, and its log.")
    ] = None,
    stop: Annotated[Path | None, typer.Option(help="End a launched run; nothing is lost.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a launched run from its last checkpoint.")
    ] = None,
) -> None:
    """List the runs below a folder with their method, seed, status and AP; watch and steer one."""
    if tail or stop or resume:
        _steer(tail, stop, resume)
        return
    from ..engine.record import runs_frame
    from ..errors import LabError

    frame = runs_frame(root)
    if frame.empty:
        raise LabError(
            f"no runs below {root}: 'crosskd-lab race' or 'crosskd-lab train' makes some"
        )
    shown = _compared(frame) if compare else frame[[name for name in SHOWN if name in frame]]
    names = {name: name for name in map(str, shown.columns)}
    print_table(shown.to_dict("records"), names, ("created", "APL", "APM", "APS", "AP50"), wide)
    write_csv(shown if compare else frame, csv)


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean AP of every method over its seeds, of the runs that are done."""
    from ..report.stats import summarise

    done = frame[frame["status"] == "done"]
    return summarise(done, by=["method", "options", "teacher"], value="AP")


def _steer(tail: Path | None, stop: Path | None, resume: Path | None) -> None:
    from ..runs.processes import Run
    from ..runs.watch import describe, gpu_use

    run = Run.open(tail or stop or resume or "")
    if stop:
        run.stop()
    if resume:
        run.resume()
    print(f"{run.folder}: {describe(run.state(), run.reason)}")
    print("\n".join(filter(None, (gpu_use(), run.tail(20)))))
