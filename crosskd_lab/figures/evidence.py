"""Recorded rows as evidence: differences with their intervals, and AP against the time it took."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture, legend_below, styles
from crosskd_lab.tables.claims import FAILED, HELD, OPEN
from crosskd_lab.tables.stats import half_width, need, points

LOOKS = {HELD: ("#0072B2", "o"), FAILED: ("#D55E00", "X"), OPEN: ("#6E6E6E", "s")}
PLACES = ((8, 4), (-8, 4), (8, -14), (-8, -14), (8, 18), (-8, 18))
"""Where a point's name may stand, in points from it, the best first."""


def differences_figure(
    compared: pd.DataFrame,
    *,
    title: str = "What the records say",
    beyond: str = "right of zero: as the paper has it",
    verdicts: bool = True,
) -> Figure:
    """A row a comparison: the paired difference of AP and its 95 % interval beside zero.

    Args:
        compared: ``comparison, n, difference, half_width, verdict``, as
            ``crosskd_lab.tables.claims.compare_claims`` gives them; a row without a record stays
            empty and says so.
        title: Its first line.
        beyond: What the right of zero means.
        verdicts: Whether the colours have a legend that names the verdicts.

    Raises:
        LabError: a column is missing, or there is no row.
    """
    need(compared, "comparison", "n", "difference", "half_width", "verdict")
    if compared.empty:
        raise LabError("there is no comparison to draw: name a claim that has one")
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 1.9 + 0.55 * len(compared)), dpi=DPI, layout="constrained")
        ax = figure.subplots()
    ax.axvline(0, color="black", linestyle=":")
    for place, row in enumerate(compared.to_dict("records")):
        colour, marker = LOOKS[row["verdict"]]
        half = [row["half_width"]] if row["n"] > 1 else None
        if row["n"]:
            where = [row["difference"]], [place]
            ax.errorbar(*where, xerr=half, fmt=marker, color=colour, ms=9, capsize=4)
    labels = [_said(row) for row in compared.to_dict("records")]
    ax.set_yticks(range(len(labels)), labels, fontsize=11)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_title(title, loc="left", fontsize=13)
    values = " and ".join(compared.get("value", pd.Series(["AP"])).unique())
    ax.set_xlabel(
        f"difference of {values} over common seeds and its 95 % interval\n{beyond}",
        fontsize=11,
    )
    if verdicts:
        for verdict, (colour, marker) in LOOKS.items():
            ax.plot([], [], marker, color=colour, ms=9, label=verdict)
        legend_below(figure, ax)
    return figure


def time_figure(
    runs: pd.DataFrame, *, title: str = "AP against the time that training took"
) -> Figure:
    """AP over seconds of training, a point a row of a sweep, its seeds beside it.

    The time is steps times the run's median step, which other work on the machine disturbs least.
    Methods trained for the same number of steps take unequal time; a method that only buys AP by
    longer steps lies on the way up that the others are on, too.

    Args:
        runs: ``row, method, status, AP, steps, step_seconds``, as
            ``crosskd_lab.tables.measured_runs`` gives them.
        title: Its first line.

    Raises:
        LabError: a column is missing, or no run is done.
    """
    need(runs, "row", "method", "status", "AP", "steps", "step_seconds")
    done = runs[(runs["status"] == "done") & (runs["step_seconds"] > 0)]
    if done.empty:
        raise LabError("no recorded run is done: there is no time to draw")
    looks = styles(done["method"].unique())
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 5.6), dpi=DPI, layout="constrained")
        ax = figure.subplots()
    points = [
        (str(row), *_point(ax, part, *looks[method]), looks[method][0])
        for (row, method), part in done.groupby(["row", "method"], sort=False)
    ]
    for method, (colour, marker) in looks.items():
        ax.plot([], [], marker, color=colour, ms=9, label=method)
    ax.margins(x=0.12)  # room for the names
    ax.set_xlim(left=0)
    ax.set_title(title, loc="left", fontsize=13)
    ax.set_xlabel("training time of a student (s: its steps times its median step)", fontsize=11)
    ax.set_ylabel("AP on the test split (points)", fontsize=11)
    legend_below(figure, ax)
    figure.draw_without_rendering()  # from here on the axes stay where they are
    _name(ax, points)
    return figure


def _point(ax: Axes, part: pd.DataFrame, colour: str, marker: str) -> tuple[float, float]:
    times = part["steps"] * part["step_seconds"]
    seconds, ap = times.mean(), part["AP"].mean()
    half = [half_width(part["AP"].to_numpy())] if len(part) > 1 else None
    ax.errorbar([seconds], [ap], yerr=half, fmt=marker, color=colour, ms=9, capsize=4)
    ax.scatter(times, part["AP"], s=12, color=colour, alpha=0.6)
    return float(seconds), float(ap)


def _name(ax: Axes, points: list[tuple[str, float, float, str]]) -> None:
    """Write each name beside its point, where it lies on no other name if there is such a place."""
    taken: list[Bbox] = []
    for name, x, y, colour in points:
        text = ax.annotate(
            name, (x, y), (0, 0), textcoords="offset points", fontsize=10, color=colour
        )
        for place in PLACES:
            text.set_position(place)
            text.set_horizontalalignment("left" if place[0] > 0 else "right")
            if not any(text.get_window_extent().overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def _said(row: dict) -> str:
    """A comparison with its number, or that there is none."""
    if not row["n"]:
        return f"{row['comparison']}\n(not recorded)"
    if row["n"] == 1:
        return f"{row['comparison']}\n{row['difference']:+.1f} (one seed)"
    numbers = points(row["difference"], row["half_width"], "+")
    if not row.get("value", "AP").startswith("AP"):
        numbers = f"{row['difference']:+.2f} ± {row['half_width']:.2f}"
    return f"{row['comparison']}\n{numbers} (n = {row['n']})"
