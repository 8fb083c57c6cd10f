"""Tables in a terminal: as many whole columns as fit, all of them where they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

GAP = 2  # letters between two columns


def print_table(
    rows: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str] | Sequence[str],
    drop: Sequence[str] = (),
    wide: bool = False,
    title: str = "",
    forms: Mapping[str, Callable[[Any], str]] | None = None,
) -> None:
    """Print rows under their titles; what does not fit is left out whole, and named below.

    Where the output is no terminal (a pipe, a file), every column is shown.

    ``titles`` stand above the columns, and may have several lines; names alone are their own.
    ``drop`` says what is left out first; then the last column, but never the first. ``wide`` shows
    all. ``forms`` is how a column's values are written, where not by :func:`cell`; such columns and
    those of numbers are aligned to the right.
    """
    titles = titles if isinstance(titles, Mapping) else {name: name for name in titles}
    forms = forms or {}
    texts = [{name: forms.get(name, cell)(row[name]) for name in titles} for row in rows]
    numbers = {name for name in titles if name in forms or any(_is_number(r[name]) for r in rows)}
    console = Console()
    wide = wide or not (console.is_terminal or "COLUMNS" in os.environ)
    widths = {
        name: max(map(cell_len, [*above.split("\n"), *(row[name] for row in texts)]))
        for name, above in titles.items()
    }
    shown, left_out = list(titles), []
    for name in () if wide else (*drop, *reversed(list(titles)[1:])):
        if sum(widths[n] + GAP for n in shown) - GAP <= console.width:
            break
        if name in shown:
            shown.remove(name)
            left_out.append(titles[name].replace("-\n", "-").replace("\n", " "))
    # As texts: rich would read a folder's or an error's [word] as markup.
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), title=Text(title) or None)
    for name in shown:
        side: Any = "right" if name in numbers else "left"
        table.add_column(Text(titles[name]), justify=side, no_wrap=True)
    for row in texts:
        table.add_row(*(Text(row[name]) for name in shown))
    room = sum(widths[name] + GAP for name in shown)
    Console(width=max(console.width, room)).print(table)
    if left_out:
        print(f"left out here: {', '.join(left_out)}; --wide shows them")


def cell(value: Any) -> str:
    """A value as text: one digit behind the point, "yes" and "no", a dash for what is unknown."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value != value:
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def write_csv(frame: pd.DataFrame, path: Path | None) -> None:
    """Write all columns of a frame where a verb was asked to, and say so."""
    from ..files import write_whole

    if path is not None:
        write_whole(path, frame.to_csv(index=False))
        print(f"wrote {path}")
