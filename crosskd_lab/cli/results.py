"""``crosskd-lab results``: the paper's tables beside what has been recorded and what you ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Csv, Wide
from .show import print_table, write_csv

SHOWN = {
    "source": "source",
    "study": "study",
    "method": "method",
    "variant": "variant",
    "n": "seeds",
    "mean": "mean",
    "difference": "to its baseline",
}


def results(
    table: Annotated[int, typer.Argument(min=1, max=8, help="The paper's table, 1 to 8.")] = 1,
    metric: Annotated[str, typer.Option(help="AP, AP50, AP75, APS, APM or APL.")] = "AP",
    runs: Annotated[Path, typer.Option(help="Folder of your runs.")] = Path("runs"),
    csv: Csv = None,
    wide: Wide = False,
    page: Annotated[
        Path | None, typer.Option(help="Instead, write all that is recorded to this file (.md).")
    ] = None,
) -> None:
    """Show a table of the paper, the recorded runs of its rows, and yours, each by its source.

    Means have their 95 % interval where there are seeds enough; every row is compared with its own
    baseline, the same student without a teacher. A * marks stale records: today's code no longer
    gives their first losses.
    """
    from ..files import write_whole
    from ..report.page import results_page
    from ..report.results import results as compared
    from ..report.stats import points

    if page is not None:
        write_whole(page, results_page())
        print(f"wrote {page}")
        return
    frame = compared(table, metric, runs=runs)
    rows = frame.to_dict("records")
    for row in rows:
        row |= {key: "" for key in ("study", "method", "variant") if not isinstance(row[key], str)}
        stale = " *" if isinstance(row["stale"], str) and row["stale"] else ""
        row["mean"] = points(row["mean"], row["half_width"]) + stale
        row["difference"] = points(row["difference"], row["difference_half_width"], "+")
    numbers: dict[str, Callable[[Any], str]] = {
        "n": lambda n: "" if n != n else f"{n:.0f}",
        "mean": str,
        "difference": str,
    }
    title = f"Table {table}: {metric} in points"
    print_table(rows, SHOWN, ("study", "n", "variant"), wide, title, numbers)
    write_csv(frame, csv)
