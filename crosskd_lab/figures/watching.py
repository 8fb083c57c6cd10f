"""How a run that is under way looks: its losses and its AP, over steps."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from crosskd_lab.figures.look import DPI, WIDTH, Picture


def watch_figure(metrics: pd.DataFrame, steps: int = 0) -> Figure:
    """Loss and AP of one run so far.

    Args:
        metrics: Rows as :func:`crosskd_lab.record.read_metrics` gives them; none yet is fine.
        steps: The last step there will be; 0 where unknown.
    """
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 2.6), dpi=DPI, layout="constrained")
        for ax, (kind, name, title) in zip(
            figure.subplots(1, 2),
            (("train", "loss", "training loss"), ("val", "AP", "AP (points, 0 to 100)")),
            strict=True,
        ):
            rows = metrics[metrics["kind"] == kind] if len(metrics) else metrics
            if name in rows:
                ax.plot(rows["step"], rows[name], marker="o" if kind == "val" else None)
            else:
                ax.text(0.5, 0.5, "nothing yet", ha="center", transform=ax.transAxes)
            ax.set(xlabel="step", ylabel=title)
            if steps:
                ax.set_xlim(0, steps)
    return figure
