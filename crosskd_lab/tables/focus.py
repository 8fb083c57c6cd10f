"""Fig. 5's claim judged on measured numbers: CrossKD's gradient is more focused than PKD's.

The paper compares CrossKD with feature imitation (PKD). How it stands to mimicking (KD) is measured
as well, and is a question of this lab's own.
"""

from __future__ import annotations

import pandas as pd

from crosskd_lab.errors import LabError
from crosskd_lab.tables.claims import FAILED, HELD, OPEN
from crosskd_lab.tables.stats import need, paired, summarise

OURS, CLAIMED, DETECTION = "CrossKD", "PKD", "detection"
WORDS = {"inside": "share of energy inside boxes", "gini": "Gini coefficient"}
VERDICTS = {1: "more focused", -1: "less focused", 0: "undecided"}


def compare_focus(frame: pd.DataFrame, where: str = "neck", i: int = 0) -> pd.DataFrame:
    """CrossKD against every other distillation at one feature, image by image.

    Args:
        frame: ``image, where, i, loss, inside, gini``, a row an image, feature and loss, as
            :func:`crosskd_lab.analysis.gradients.measure_gradients` gives it.
        where: "neck", "cls" or "reg".
        i: The layer.

    Returns:
        A row a statistic and other loss: ``statistic, other, n`` images, ``crosskd`` and
        ``theirs``, means; ``difference`` of the two with the ``half_width`` of its 95 % interval
        over images; ``verdict``, "more focused", "less focused", or "undecided" where the interval
        holds 0. Losses whose gradient does not reach the feature are left out.

    Raises:
        LabError: a column is missing, or the feature was not measured.
    """
    rows = _at(frame, where, i).rename(columns={"loss": "method"})
    others = [name for name in rows["method"].unique() if name not in (OURS, DETECTION)]
    table = []
    for statistic in WORDS:
        reached = rows.dropna(subset=[statistic])
        means = reached.groupby("method")[statistic].mean()
        for other in [name for name in others if name in means and OURS in means]:
            found = paired(reached, OURS, other, on="image", value=statistic)
            sure = abs(found.difference) > found.half_width  # False for NaN: one image
            sign = (1 if found.difference > 0 else -1) if sure else 0
            row = (statistic, other, found.n, means[OURS], means[other])
            table.append((*row, found.difference, found.half_width, VERDICTS[sign]))
    columns = ["statistic", "other", "n", "crosskd", "theirs", "difference", "half_width"]
    return pd.DataFrame(table, columns=[*columns, "verdict"])


def tell_focus(frame: pd.DataFrame, where: str = "neck", i: int = 0) -> str:
    """The comparison in words (Markdown), from the numbers alone.

    Raises:
        LabError: as :func:`compare_focus`.
    """
    table, rows = compare_focus(frame, where, i), _at(frame, where, i)
    place = "the neck" if where == "neck" else f"$f_{i}$ of the {where} tower"
    area = rows["area"].mean() if "area" in rows else float("nan")
    lines = [f"At {place}, over {rows['image'].nunique()} images (boxes cover {area:.0%} of it):\n"]
    for row in table.itertuples():
        lines.append(
            f"- {WORDS[row.statistic]}: CrossKD {row.crosskd:.2f}, {row.other} {row.theirs:.2f}, "
            f"difference {row.difference:+.3f} ± {row.half_width:.3f}: **{row.verdict}**"
        )
    for other in table["other"].unique():
        asks = "Fig. 5's claim" if other == CLAIMED else "a question that the paper does not ask"
        lines.append(f"\nCrossKD more focused than {other}, {asks}: {judge_focus(table, other)}.")
    return "\n".join([*lines, "", _cosines(rows)])


def judge_focus(compared: pd.DataFrame, other: str = CLAIMED) -> str:
    """The verdict of both measures together: held, did not hold, or not decided.

    Args:
        compared: As :func:`compare_focus` gives it.
        other: What CrossKD is compared with.
    """
    said = set(compared.loc[compared["other"] == other, "verdict"])
    return {("more focused",): HELD, ("less focused",): FAILED}.get(tuple(said), OPEN)


def _cosines(rows: pd.DataFrame) -> str:
    """Conflict in gradient space, in one sentence."""
    table = summarise(rows[rows["loss"] != DETECTION], "loss", "cosine")
    said = [f"{r.loss} {r.mean:+.2g} ± {r.half_width:.2g}" for r in table.itertuples()]
    against = [r.loss for r in table.itertuples() if r.mean + r.half_width < 0]
    end = f"surely below 0: {', '.join(against)}" if against else "none is surely below 0"
    return f"Cosine with the detection gradient: {', '.join(said)}; {end}."


def _at(frame: pd.DataFrame, where: str, i: int) -> pd.DataFrame:
    need(frame, "image", "where", "i", "loss", *WORDS, "cosine")
    rows = frame[(frame["where"] == where) & (frame["i"] == i)]
    if rows.empty:
        raise LabError(f"{where}, i = {i} was not measured: measure it, or name another feature")
    return rows
