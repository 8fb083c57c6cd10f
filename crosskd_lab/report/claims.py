"""The paper's claims as comparisons of recorded rows, and what the records say of each."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..configs import TEACHERS
from ..errors import LabError
from ..files import read_json
from .results import compare_rows, measured_runs
from .stats import STRAY, differences, half_width, need, summarise
from .sweep_spec import RECORDED

FEWEST = 3
"""Seeds without which nothing is decided: two that agree by luck have a very short interval."""
HELD, FAILED, OPEN = "held", "did not hold", "not decided by these data"


class Comparison(NamedTuple):
    """``better`` ends above ``worse`` by ``by`` at least, two rows of a sweep.

    ``worse`` may be a shipped teacher: its mean over fresh scenes, one number. ``value`` is a
    column of :func:`crosskd_lab.report.results.measured_runs`.
    """

    sweep: str
    better: str
    worse: str
    by: float = 0.0
    value: str = "AP"

    def __str__(self) -> str:
        value = "" if self.value == "AP" else f" in {self.value}"
        return f"{self.better} above {self.worse}{f' by {self.by:g}' if self.by else ''}{value}"


class Claim(NamedTuple):
    """What the paper says, where, and which comparisons would have to show it."""

    says: str
    where: str
    comparisons: tuple[Comparison, ...]


def _each(
    sweep: str, better: str, worse: Iterable[str], value: str = "AP"
) -> tuple[Comparison, ...]:
    """One row above each of the others."""
    return tuple(Comparison(sweep, better, other, value=value) for other in worse)


CROSSED = [f"crosskd_{i}" for i in range(5)]
FAMILIES = ("retinanet", "fcos", "atss")
OTHERS = ["fitnets", "inside_gt", "defeat", "main_region", "fine_grained", "fgd", "gid", "skd"]
OTHERS += ["ld", "pkd"]
IN_HEAD = ("pkd_cls", "pkd_reg", "pkd_cls_reg")
AT_LENGTH = " at length", ", after twelve epochs, too"
TRAININGS = (("table1", "crosskd_3"), ("regime", "crosskd"))  # in the fast regime and in the slow


def _layers(sweep: str, where: str, at: str = "", too: str = "") -> dict[str, Claim]:
    """What Table 1 says of the layer i; names end with ``at``, sentences with ``too``."""
    others = [row for row in CROSSED if row != "crosskd_3"]
    return {
        f"every position{at}": Claim(
            f"CrossKD helps wherever the feature is taken from, i = 0 ... 4{too}",
            where,
            tuple(Comparison(sweep, row, "none") for row in CROSSED),
        ),
        f"four tenths{at}": Claim(
            f"At every i it is at least 0.4 AP better than mimicking{too}",
            where,
            tuple(Comparison(sweep, row, "kd", by=0.4) for row in CROSSED),
        ),
        f"the third{at}": Claim(
            f"i = 3 is the best of all positions{too}", where, _each(sweep, "crosskd_3", others)
        ),
    }


def _places(sweep: str, where: str, at: str = "", too: str = "") -> dict[str, Claim]:
    """What Table 2 says of features against predictions, named as in :func:`_layers`."""
    return {
        f"features{at}": Claim(
            f"CrossKD is better than imitating features (PKD on the neck){too}",
            where,
            _each(sweep, "crosskd", ["pkd_neck"]),
        ),
        f"features in the head{at}": Claim(
            f"CrossKD is better than PKD at its own place, in the head{too}",
            where,
            _each(sweep, "crosskd", IN_HEAD),
        ),
        f"the neck{at}": Claim(
            f"PKD is worse in the head than on the neck{too}",
            where,
            _each(sweep, "pkd_neck", IN_HEAD),
        ),
    }


def _branches(sweep: str, where: str, at: str = "", too: str = "") -> dict[str, Claim]:
    """What Table 3 says of the two branches, named as in :func:`_layers`."""
    return {
        f"branches{at}": Claim(
            f"CrossKD instead of mimicking gains on either branch and on both{too}",
            where,
            tuple(Comparison(sweep, f"cross{row}", row) for row in ("kd_cls", "kd_reg", "kd")),
        ),
        f"both branches{at}": Claim(
            f"CrossKD on both branches is better than on either alone{too}",
            where,
            _each(sweep, "crosskd", ["crosskd_cls", "crosskd_reg"]),
        ),
    }


def _unlike(sweep: str, where: str, at: str = "", too: str = "") -> dict[str, Claim]:
    """What Table 7 says of teachers of another kind, named as in :func:`_layers`."""
    pairs = [(f"kd_from_{kind}", f"crosskd_from_{kind}") for kind in ("atss", "retinanet")]
    return {
        f"spoiled{at}": Claim(
            f"A teacher of another kind spoils mimicking: the student ends below no teacher{too}",
            where,
            tuple(Comparison(sweep, "none", mimicked) for mimicked, _ in pairs),
        ),
        f"unlike teachers{at}": Claim(
            f"CrossKD gains from a teacher of another kind all the same{too}",
            where,
            tuple(Comparison(sweep, crossed, "none") for _, crossed in pairs),
        ),
        f"ahead with unlike teachers{at}": Claim(
            f"CrossKD is better than mimicking a teacher of another kind{too}",
            where,
            tuple(Comparison(sweep, crossed, mimicked) for mimicked, crossed in pairs),
        ),
    }


CLAIMS: dict[str, Claim] = {
    **_layers("table1", "Tab. 1, Sec. 4.2"),
    "mimicking": Claim(
        "CrossKD (i = 3) is better than mimicking with the student's own head",
        "Tab. 1, Sec. 4.2",
        _each("table1", "crosskd_3", ["kd"]),
    ),
    "at length": Claim(
        "CrossKD is better than no teacher and than mimicking after twelve epochs, too",
        "Tab. 1, in the slow regime",
        _each("regime", "crosskd", ["none", "kd"]),
    ),
    **_layers("table1_slow", "Tab. 1, in the slow regime", *AT_LENGTH),
    "past the ceiling": Claim(
        "The gain lasts: CrossKD is better than no teacher after 48 epochs, too",
        "ours: the long regime",
        _each("long", "crosskd", ["none"]),
    ),
    "ahead past the ceiling": Claim(
        "CrossKD is better than mimicking after 48 epochs, too",
        "ours: the long regime",
        _each("long", "crosskd", ["kd"]),
    ),
    **_places("table2", "Tab. 2, Sec. 4.2"),
    **_places("table2_slow", "Tab. 2, in the slow regime", *AT_LENGTH),
    **_branches("table3", "Tab. 3, Sec. 4.2"),
    **_branches("table3_slow", "Tab. 3, in the slow regime", *AT_LENGTH),
    "adding KD back": Claim(
        "Mimicking added to CrossKD makes it worse",
        "Tab. 4, Sec. 4.2",
        _each("table4", "crosskd", ["crosskd_kd"]),
    ),
    "adding KD back at length": Claim(
        "Mimicking added to CrossKD makes it worse after twelve epochs, too",
        "Tab. 4, in the slow regime",
        _each("table4_slow", "crosskd", ["crosskd_kd"]),
    ),
    "one loss, as strong": Claim(
        "Mimicking added to CrossKD is worse than CrossKD alone at twice its weights",
        "ours: Tab. 4's control, in the slow regime",
        _each("table4_slow", "crosskd_double", ["crosskd_kd"]),
    ),
    "both as strong": Claim(
        "CrossKD at twice its weights is better than mimicking at twice its weights",
        "ours: Tab. 4's control, in the slow regime",
        _each("table4_slow", "crosskd_double", ["kd_double"]),
    ),
    "near the teacher": Claim(
        "CrossKD brings the student's predictions nearer to the teacher's; mimicking, nearest",
        "Fig. 6(a), Sec. 4.2",
        tuple(
            Comparison(sweep, *pair, value="l1_teacher")
            for sweep, row in TRAININGS
            for pair in (("none", row), (row, "kd"))
        ),
    ),
    "near the truth": Claim(
        "Mimicking ends farther from the ground truth than CrossKD",
        "Fig. 6(b), Sec. 4.2",
        tuple(Comparison(sweep, "kd", row, value="l1_truth") for sweep, row in TRAININGS),
    ),
    "near the truth past the ceiling": Claim(
        "After 48 epochs mimicking is farther from the ground truth than CrossKD",
        "Fig. 6(b), in the long regime",
        (Comparison("long", "kd", "crosskd", value="l1_truth"),),
    ),
    "faster": Claim(
        "CrossKD trains faster: it is ahead of none and of mimicking at the first validation",
        "Fig. 6(c), Sec. 4.2",
        tuple(
            one for sweep, row in TRAININGS for one in _each(sweep, row, ["none", "kd"], "AP_first")
        ),
    ),
    "every method": Claim(
        "Each of the ten other methods helps the student",
        "Tab. 5, its arrows",
        tuple(Comparison("table5", row, "none") for row in OTHERS),
    ),
    "all others": Claim(
        "CrossKD is better than all ten",
        "Tab. 5, Sec. 4.3, abstract",
        _each("table5", "crosskd", OTHERS),
    ),
    "adding PKD": Claim(
        "CrossKD with PKD is the best: the two add up",
        "Tab. 5, Sec. 4.3",
        _each("table5", "crosskd_pkd", ["crosskd"]),
    ),
    "adding PKD at length": Claim(
        "CrossKD with PKD is better than CrossKD alone after twelve epochs, too",
        "Tab. 5, in the slow regime",
        _each("table2_slow", "crosskd_pkd", ["crosskd"]),
    ),
    "more than louder": Claim(
        "CrossKD with PKD is better than CrossKD alone at twice its weights",
        "ours: Tab. 2's control, in the slow regime",
        _each("table2_slow", "crosskd_pkd", ["crosskd_double"]),
    ),
    "behind features": Claim(
        "LD, the best of mimicking, is still behind imitating features (PKD)",
        "Sec. 1, Tab. 5",
        _each("table5", "pkd", ["ld"]),
    ),
    "other detectors": Claim(
        "CrossKD helps RetinaNet, FCOS and ATSS",
        "Tab. 6, Sec. 4.4",
        tuple(Comparison("table6", f"{one}_crosskd", f"{one}_none") for one in FAMILIES),
    ),
    "above the teachers": Claim(
        "Their students end above their teachers",
        "Tab. 6, Sec. 4.4",
        tuple(Comparison("table6", f"{one}_crosskd", f"{one}_r18_w32") for one in FAMILIES),
    ),
    **_unlike("table7", "Tab. 7, Sec. 4.5"),
    **_unlike("table7_slow", "Tab. 7, in the slow regime", *AT_LENGTH),
    "unlike, as strong": Claim(
        "CrossKD is better than mimicking a RetinaNet teacher at three times the weights",
        "ours: Tab. 7's control, in the slow regime",
        _each("table7_slow", "crosskd_from_retinanet", ["kd_from_retinanet_triple"]),
    ),
    "kind, not strength": Claim(
        "Mimicking gains more from a weak teacher of its own kind than from those of another",
        "ours: Tab. 7's control",
        _each(
            "pairs",
            "kd_from_gfl_early",
            [f"kd_from_{kind}" for kind in ("atss", "retinanet", "fcos")],
        ),
    ),
    "other backbones": Claim(
        "CrossKD helps a student of another backbone (MobileNetV2) than its teacher's",
        "Tab. 8, Sec. 4.6",
        _each("table8", "crosskd", ["none"]),
    ),
    "other backbones, features": Claim(
        "There it is better than PKD, too", "Tab. 8, Sec. 4.6", _each("table8", "crosskd", ["pkd"])
    ),
}
"""Every comparison that the paper's text makes and that recorded runs can judge, by a short name.

Two more are judged by analyses: Fig. 3 and Fig. 5 (:func:`compare_focus`). Table 8's Swin-T and the
supplement were not run here."""


def compare_claims(
    claims: Mapping[str, Claim] = CLAIMS, recorded: str | Path = RECORDED
) -> pd.DataFrame:
    """One row a comparison of every claim.

    ``claim``; ``comparison`` in words; ``n`` common seeds; ``difference`` in points (L1 a positive
    location where ``value`` says so), less what the claim asks for at least, so that above zero is
    as the paper has it, with its ``half_width`` of 95 % (NaN below two seeds); ``verdict`` of this
    comparison alone, which takes no half width of AP for less than ``STRAY``; ``value``; ``stale``,
    in words, where the code of today begins otherwise.
    """
    sweeps = {c.sweep for claim in claims.values() for c in claim.comparisons}
    runs = {name: measured_runs(name, recorded) for name in sorted(sweeps)}
    rows = []
    for name, one in ((name, c) for name, claim in claims.items() for c in claim.comparisons):
        frame = _with_teacher(runs[one.sweep], one.worse)
        found = compare_rows(frame, one.better, one.worse, one.value)
        n = found.n if found else 0
        difference, half = (found.difference - one.by, found.half_width) if found else (np.nan,) * 2
        stale = set(frame.loc[frame["row"].isin([one.better, one.worse]), "stale"]) - {""}
        about = {"claim": name, "comparison": str(one), "n": n, "difference": difference}
        sure = max(half, STRAY) if one.value.startswith("AP") else half
        about |= {"half_width": half, "verdict": verdict_of(difference, sure, n)}
        rows.append(about | {"value": one.value, "stale": "; ".join(sorted(stale))})
    return pd.DataFrame(rows)


def _with_teacher(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs, and where ``name`` is a shipped teacher its AP on fresh scenes beside each seed."""
    path = TEACHERS / name / "record.json"
    if not path.is_file():
        return runs
    ap = read_json(path, "restore it")["held_out"]["mean"]
    seeds = runs["seed"].unique()
    same = {"row": name, "method": name, "status": "done", "AP": ap, "stale": ""}
    teacher = pd.DataFrame([{**same, "seed": seed} for seed in seeds])
    return pd.concat([runs, teacher], ignore_index=True)


def judge_claims(compared: pd.DataFrame, claims: Mapping[str, Claim] = CLAIMS) -> pd.DataFrame:
    """One row a claim of :func:`compare_claims`: ``says, where, verdict, seeds`` behind it."""
    rows = []
    for name, part in compared.groupby("claim", sort=False):
        claim = claims[str(name)]
        about = {"claim": name, "says": claim.says, "where": claim.where}
        rows.append(about | {"verdict": joint(part["verdict"]), "seeds": int(part["n"].min())})
    return pd.DataFrame(rows)


def verdict_of(difference: float, half_width: float, n: int) -> str:
    """Held, did not hold, or not decided: where zero lies to the interval of ``n`` differences."""
    if n < FEWEST or math.isnan(difference) or math.isnan(half_width):
        return OPEN
    if difference - half_width > 0:
        return HELD
    return FAILED if difference + half_width < 0 else OPEN


def joint(verdicts: Iterable[str]) -> str:
    """The verdict on a claim that needs all of its comparisons."""
    found = set(verdicts)
    if FAILED in found:
        return FAILED
    return HELD if found == {HELD} else OPEN


OURS, CLAIMED, DETECTION = "CrossKD", "PKD", "detection"
WORDS = {"inside": "share of energy inside boxes", "gini": "Gini coefficient"}
VERDICTS = {1: "more focused", -1: "less focused", 0: "undecided"}


def compare_focus(frame: pd.DataFrame, where: str = "neck", i: int = 0) -> pd.DataFrame:
    """CrossKD against every other distillation at one feature ("neck", "cls" or "reg", layer i).

    ``frame`` is as :func:`crosskd_lab.gradients.measure_gradients` gives it. A row a statistic and
    other loss: ``n`` images, ``crosskd`` and ``theirs``, means, ``difference`` of the two with the
    ``half_width`` of its 95 % interval over images; ``verdict``, "undecided" where the interval
    holds 0 or there are fewer than ``FEWEST``. Losses whose gradient does not reach the feature are
    left out.
    """
    rows = _at(frame, where, i).rename(columns={"loss": "method"})
    others = [name for name in rows["method"].unique() if name not in (OURS, DETECTION)]
    table = []
    for statistic in WORDS:
        reached = rows.dropna(subset=[statistic])
        means = reached.groupby("method")[statistic].mean()
        for other in [name for name in others if name in means and OURS in means]:
            found = differences(reached, OURS, other, on="image", value=statistic)
            difference, half = found.mean(), half_width(found)
            sure = len(found) >= FEWEST and abs(difference) > half  # NaN: one image
            sign = int(np.sign(difference)) if sure else 0
            row = (statistic, other, len(found), means[OURS], means[other])
            table.append((*row, difference, half, VERDICTS[sign]))
    columns = ["statistic", "other", "n", "crosskd", "theirs", "difference", "half_width"]
    return pd.DataFrame(table, columns=[*columns, "verdict"])


def by_student(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Several students' frames as one for :func:`compare_focus`, whose images are students.

    Each row is a student's mean over its images, so that intervals are over students.
    """
    means = [frame.groupby(["where", "i", "loss"], as_index=False).mean() for frame in frames]
    return pd.concat([mean.assign(image=student) for student, mean in enumerate(means)])


STUDENTS = {"slow": "that had no teacher", "pkd": "of PKD", "crosskd": "of CrossKD"}
"""Whose features Fig. 5 was measured at in the slow regime, by ``figure5_<name>_<seed>``."""


def kept_students(recorded: str | Path = RECORDED) -> dict[str, pd.DataFrame]:
    """:func:`by_student` of each kind of student in :data:`STUDENTS` that is recorded."""
    kept = {
        whose: sorted(Path(recorded).glob(f"figure5_{name}_*/gradients.csv"))
        for name, whose in STUDENTS.items()
    }
    return {whose: by_student(map(pd.read_csv, found)) for whose, found in kept.items() if found}


def tell_focus(frame: pd.DataFrame, where: str = "neck", i: int = 0, over: str = "images") -> str:
    """The comparison in words (Markdown), from the numbers alone."""
    table, rows = compare_focus(frame, where, i), _at(frame, where, i)
    place = "the neck" if where == "neck" else f"$f_{i}$ of the {where} tower"
    area = rows["area"].mean() if "area" in rows else float("nan")
    lines = [f"At {place}, over {rows['image'].nunique()} {over} (boxes cover {area:.0%} of it):\n"]
    for row in table.itertuples():
        lines.append(
            f"- {WORDS[row.statistic]}: CrossKD {row.crosskd:.2f}, {row.other} {row.theirs:.2f}, "
            f"difference {row.difference:+.3f}{_spread(row.half_width, '.3f')}: **{row.verdict}**"
        )
    for other in table["other"].unique():
        asks = "Fig. 5's claim" if other == CLAIMED else "a question that the paper does not ask"
        lines.append(f"\nCrossKD more focused than {other}, {asks}: {judge_focus(table, other)}.")
    return "\n".join([*lines, "", _cosines(rows)])


def judge_focus(compared: pd.DataFrame, other: str = CLAIMED) -> str:
    """The verdict of both measures of :func:`compare_focus`: held, did not hold, or undecided."""
    said = set(compared.loc[compared["other"] == other, "verdict"])
    return {("more focused",): HELD, ("less focused",): FAILED}.get(tuple(said), OPEN)


def _cosines(rows: pd.DataFrame) -> str:
    """Conflict in gradient space, in one sentence."""
    table = summarise(rows[rows["loss"] != DETECTION], "loss", "cosine")
    said = [f"{r.loss} {r.mean:+.2g}{_spread(r.half_width, '.2g')}" for r in table.itertuples()]
    against = [r.loss for r in table.itertuples() if r.mean + r.half_width < 0]
    end = f"surely below 0: {', '.join(against)}" if against else "none is surely below 0"
    return f"Cosine with the detection gradient: {', '.join(said)}; {end}."


def _spread(half: float, form: str) -> str:
    """An interval in words, none of a single image."""
    return "" if math.isnan(half) else f" ± {half:{form}}"


def _at(frame: pd.DataFrame, where: str, i: int) -> pd.DataFrame:
    need(frame, "image", "where", "i", "loss", *WORDS, "cosine")
    rows = frame[(frame["where"] == where) & (frame["i"] == i)]
    if rows.empty:
        raise LabError(f"{where}, i = {i} was not measured: measure it, or name another feature")
    return rows
