"""What a distance to the truth says of students whose scores are all turned down alike."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from crosskd_lab.errors import LabError
from crosskd_lab.figures.comparison import PARTS
from crosskd_lab.figures.look import DPI, WIDTH, Picture, legend_below, styles


def turned_down_figure(
    frames: Mapping[str, pd.DataFrame],
    *,
    title: str = "Every score times one factor: the order of detections stays as it is",
) -> Figure:
    """L1(p^s, p^gt) and its parts over the factor, a line a method.

    Args:
        frames: By method, ``factor, l1_truth, l1_truth_positive, l1_truth_background`` as
            ``crosskd_lab.analysis.dynamics.turned_down`` gives them.
        title: Its first line.

    Raises:
        LabError: without a method.
    """
    if not frames:
        raise LabError("there is nothing to turn down: give the frame of a method")
    looks = styles(frames)
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 4.4), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, len(PARTS), sharey=True)
    for ax, (value, (name, unit)) in zip(axes, PARTS.items(), strict=True):
        for method, frame in frames.items():
            colour, marker = looks[method]
            ax.plot(frame["factor"], frame[value], color=colour, marker=marker, label=method)
        ax.set_title(name, loc="left", fontsize=12)
        ax.set_xlabel("factor on every score", fontsize=11)
        ax.set_ylabel(unit, fontsize=11)
        ax.set_xlim(1.04, -0.04)  # turning down goes to the right
        ax.set_ylim(bottom=0)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    legend_below(figure, axes[0])
    return figure
