"""Tables in a terminal: as many whole columns as fit, all of them where they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

GAP = 2  # letters between two columns
Wide = Annotated[bool, typer.Option("--wide", help="All columns, however narrow the terminal is.")]


def print_table(
    rows: Sequence[Mapping[str, str]],
    titles: Mapping[str, str],
    numbers: Sequence[str] = (),
    drop: Sequence[str] = (),
    wide: bool = False,
    title: str = "",
) -> None:
    """Print rows under their titles; what does not fit is left out whole, and named below.

    Where the output is no terminal (a pipe, a file), every column is shown.

    Args:
        rows: Each a cell for every name in ``titles``.
        titles: What stands above each column, which may have several lines.
        numbers: Columns that are aligned to the right.
        drop: What is left out first; then the last column, but never the first.
        wide: Show all.
        title: Above the table.
    """
    console = Console()
    wide = wide or not (console.is_terminal or "COLUMNS" in os.environ)
    widths = {
        name: max(map(cell_len, [*title.split("\n"), *(row[name] for row in rows)]))
        for name, title in titles.items()
    }
    shown, left_out = list(titles), []
    for name in () if wide else (*drop, *reversed(list(titles)[1:])):
        if sum(widths[n] + GAP for n in shown) - GAP <= console.width:
            break
        if name in shown:
            shown.remove(name)
            left_out.append(titles[name].replace("-\n", "-").replace("\n", " "))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), title=title or None)
    for name in shown:
        justify = "right" if name in numbers else "left"
        table.add_column(titles[name], justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    room = sum(widths[name] + GAP for name in shown)
    Console(width=max(console.width, room)).print(table)
    if left_out:
        print(f"left out here: {', '.join(left_out)}; --wide shows them")
