"""Tables of results to choose from, to sort and to ask where each number comes from."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import pandas as pd
from pandas.io.formats.style import Styler

from ..errors import LabError
from ..report.figures import SOURCE_LOOKS, bars_figure, number_of, render
from ..report.stats import points
from .galleries import bundle, control

EVERY = "all sources"
ORDERS = {
    "as printed": None,
    "mean": "mean",
    "difference": "difference",
    "seeds": "n",
    "method": "method",
    "source": "source",
}
UP, DOWN = "lowest first", "highest first"
BAR = 140  # pixels


def arranged(
    frame: pd.DataFrame, source: str = EVERY, by: str = "as printed", way: str = DOWN
) -> pd.DataFrame:
    """The rows of a source in an order; rows without a value of the column come last.

    Args:
        frame: As ``crosskd_lab.report.results.results`` gives it.
        source: "paper", "recorded", "yours", or `EVERY`.
        by: One of `ORDERS`.
        way: `UP` or `DOWN`.
    """
    rows = frame if source == EVERY else frame[frame["source"] == source]
    column = ORDERS[by]
    if column is None:
        return rows.reset_index(drop=True)
    return rows.sort_values(column, ascending=way == UP, kind="stable", ignore_index=True)


def styled(frame: pd.DataFrame, metric: str = "AP") -> Styler:
    """The table as a page shows it: bars with intervals, and on each number where it is from.

    Args:
        frame: As ``results`` gives it, with ``origin``, a sentence on where
            the row's numbers come from.
        metric: What ``mean`` is.
    """
    rows = frame.to_dict("records")
    top = max([r["mean"] + _or_0(r["half_width"]) for r in rows if pd.notna(r["mean"])] or [1.0])
    shown = pd.DataFrame(
        {
            "source": [_badge(r["source"]) for r in rows],
            "study": frame["study"].to_list(),
            "method": frame["method"].to_list(),
            "variant": frame["variant"].fillna("").to_list(),
            "seeds": ["" if pd.isna(r["n"]) else f"{r['n']:.0f}" for r in rows],
            f"{metric} (points)": ["–" if pd.isna(r["mean"]) else number_of(r) for r in rows],
            "with 95 % interval": [_bar(r, top) for r in rows],
            "to its baseline": [_difference(r) for r in rows],
            "stale": frame["stale"].fillna("").to_list(),
        }
    )
    tips = pd.DataFrame(
        {name: [html.escape(r["origin"], quote=True) for r in rows] for name in shown}
    )
    cells = "text-align: left; padding: 2px 6px; line-height: 1.5"
    left = [{"selector": "th, td", "props": cells}]
    left += [{"selector": "td:not(:last-child)", "props": "white-space: nowrap"}]
    return (
        shown.style.hide(axis="index")
        .set_table_styles(left)
        .set_tooltips(tips, as_title_attribute=True)
    )


class TableView:
    """A table by number, metric and source, in the order asked for.

    Everything is read beforehand, so that a choice only lays out some twenty rows.

    Args:
        frames: ``(table, metric)`` to the table's rows, as :func:`styled` wants them.
        start: The table and metric shown first.

    Raises:
        LabError: without tables, or for a start that is none of them.
    """

    def __init__(
        self, frames: Mapping[tuple[int, str], pd.DataFrame], start: tuple[int, str] = (1, "AP")
    ) -> None:
        if start not in frames:
            raise LabError(f"there is no table {start[0]} of {start[1]} to show: give its rows")
        self.frames = dict(frames)
        numbers = sorted({table for table, _ in frames})
        self.table = ipywidgets.Dropdown(
            options=[(f"Table {n}", n) for n in numbers], value=start[0], description="table"
        )
        self.metric = control(self.metrics(start[0]), "metric", start[1])
        self.source = control([EVERY, *SOURCE_LOOKS], "numbers of", EVERY)
        self.by = control(list(ORDERS), "sort by", "as printed")
        self.way = control([DOWN, UP], "order", DOWN)
        self.page = ipywidgets.HTML()
        self.table.observe(self._turn_table, "value")
        for one in (self.metric, self.source, self.by, self.way):
            one.observe(self._turn, "value")
        self._turn()
        rows = [ipywidgets.HBox([self.table, self.metric, self.source])]
        rows += [ipywidgets.HBox([self.by, self.way])]
        self.widget = ipywidgets.VBox([*rows, self.page])

    def metrics(self, table: int) -> list[str]:
        """The metrics of which a table has a number."""
        mine = {metric: frame for (number, metric), frame in self.frames.items() if number == table}
        return [metric for metric, frame in mine.items() if frame["mean"].notna().any()]

    @property
    def chosen(self) -> pd.DataFrame:
        """The rows as they stand."""
        frame = self.frames[self.table.value, self.metric.value]
        return arranged(frame, self.source.value, self.by.value, self.way.value)

    def sheet(self) -> bytes:
        """What is chosen as bars, a PNG."""
        table, metric = self.table.value, self.metric.value
        title = f"Table {table}: {metric} of {self.source.value}"
        return render(bars_figure(self.chosen, metric=metric, title=title), "png")

    def _turn_table(self, change: Any) -> None:
        known, now = self.metrics(change["new"]), self.metric.value
        self.metric.options = [(name, name) for name in known]
        self.metric.value = now if now in known else known[0]
        self._turn()

    def _turn(self, change: Any = None) -> None:
        rows = self.chosen
        if rows.empty:
            self.page.value = f"<p>Table {self.table.value}: no numbers of this source yet.</p>"
        else:
            self.page.value = styled(rows, self.metric.value).to_html()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.widget, self.sheet())


def _badge(source: str) -> str:
    """The source's name in a frame of its colour."""
    look = f"border-left: 6px solid {SOURCE_LOOKS[source][0]}; padding-left: 6px"
    return f'<span style="{look}">{source}</span>'


def _bar(row: dict, top: float) -> str:
    """A bar with its interval, as SVG."""
    if pd.isna(row["mean"]):
        return ""
    scale, half = BAR / top, _or_0(row["half_width"])
    colour, middle = SOURCE_LOOKS[row["source"]][0], row["mean"] * scale
    low, high = middle - half * scale, middle + half * scale
    ends = f'<path d="M{low:.0f} 7H{high:.0f}M{low:.0f} 3V11M{high:.0f} 3V11" stroke="black"/>'
    return (
        f'<svg width="{BAR + 4}" height="14" role="img"><rect y="1" width="{middle:.0f}" '
        f'height="12" fill="{colour}" opacity="0.7"/>{ends if half else ""}</svg>'
    )


def _difference(row: dict) -> str:
    if pd.isna(row["difference"]):
        return ""
    return points(row["difference"], row["difference_half_width"], "+")


def _or_0(value: float) -> float:
    return 0.0 if pd.isna(value) else float(value)
