"""``crosskd-lab results``: the paper's tables beside what has been recorded and what you ran."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .show import Wide, print_table

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
    csv: Annotated[Path | None, typer.Option(help="Also write all columns to this file.")] = None,
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
    rows = []
    for row in frame.to_dict("records"):
        stale = " *" if isinstance(row["stale"], str) and row["stale"] else ""
        cells = {name: _word(row[name]) for name in ("source", "study", "method", "variant")}
        cells["n"] = "" if row["n"] != row["n"] else f"{row['n']:.0f}"
        cells["mean"] = points(row["mean"], row["half_width"]) + stale
        cells["difference"] = points(row["difference"], row["difference_half_width"], "+")
        rows.append(cells)
    title = f"Table {table}: {metric} in points"
    print_table(rows, SHOWN, ("n", "mean", "difference"), ("study", "n", "variant"), wide, title)
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
        print(f"wrote {csv}")


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
