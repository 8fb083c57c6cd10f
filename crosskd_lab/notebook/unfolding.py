"""Notebook 06: how students train, by recorded curves and by students that are followed now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..engine.metrics import look, score_scaling
from ..engine.record import method_name
from ..errors import LabError
from ..files import PROJECT
from ..report.evidence_figures import score_scaling_figure
from ..report.figures import race_figure, render
from ..report.page import report_paragraph
from ..report.results import measured_curves
from ..report.sweep_spec import RECORDED
from ..runs.race import RaceResult, load_race, run_race
from .galleries import Frames
from .judge import Wrong, verdict
from .students import effort, held_out, lesson_scenes, train_student
from .the_race import calm, tell

METHODS = ("none", "kd", "crosskd")
NAMES = ("none", "KD", "CrossKD")  # what curves call them
STEPS = {"smoke": 4, "cpu": 200, "gpu": 1500}
LOOKS = {"smoke": 2, "cpu": 5, "gpu": 10}  # validations on the way
SEEDS = {"smoke": 1, "cpu": 1, "gpu": 3}
IMAGES = {"smoke": 4, "cpu": 32, "gpu": 64}
FACTORS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
STUDIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "methods": ("table1", ("none", "kd", "crosskd_3")),
    "methods, six times as long": ("regime", ("none", "kd", "crosskd")),
    "position i of the delivered feature": (
        "table1",
        ("crosskd_0", "crosskd_1", "crosskd_3", "crosskd_4"),
    ),
    "features or predictions": ("table2", ("none", "pkd_neck", "crosskd", "crosskd_pkd")),
    "teachers of another kind": (
        "table7",
        ("kd_from_atss", "kd_from_retinanet", "crosskd_from_atss", "crosskd_from_retinanet"),
    ),
}
"""Recorded rows that are worth seeing side by side, by what they compare."""


def recorded_frames(recorded: str | Path = RECORDED) -> Frames | None:
    """A drop-down over `STUDIES`: Fig. 6 from the records, or a line that says what is missing."""
    pictures = {}
    for name, (sweep, rows) in STUDIES.items():
        curves = measured_curves(sweep, rows, recorded)
        if curves.empty:
            continue
        if curves["row"].nunique() > curves["method"].nunique():
            curves = curves.assign(method=curves["row"])
        pictures[name] = render(race_figure(curves, title=f"Recorded: {name}"), "png")
    if not pictures:
        print("no curve is recorded here yet ('crosskd-lab sweep table1' records some)")
        return None
    return Frames(pictures, "compare")


def tell_recorded(recorded: str | Path = RECORDED) -> str:
    """Whether the recorded students go as Fig. 6 says, in words; or that there are none."""
    curves = measured_curves(*STUDIES["methods"], recorded)
    if curves.empty:
        return "No curve is recorded here yet."
    return report_paragraph(curves, setting="Recorded students, on the validation split")


def follow(scale: str, race: str | Path | None = None) -> RaceResult:
    """A finished race of yours, or three students trained now and looked at on the way.

    Args:
        scale: "smoke", "cpu" or "gpu": how long the students train.
        race: Folder of a race. By default ``runs/unfolding``, else your ``runs/race`` where it has
            what is asked here; where neither is there, ``runs/unfolding`` is run (at smoke always
            ``runs/unfolding-smoke``).

    Raises:
        LabError: for an unknown scale, a race from before the parts of L1(p^s, p^gt) were
            measured, and whatever a race can refuse.
    """
    batch = effort(scale).batch
    mine = "unfolding-smoke" if scale == "smoke" else "unfolding"
    folder = Path(race) if race else PROJECT / "runs" / mine
    result = _finished(folder)
    if result is None and not race and scale != "smoke":
        result = _finished(PROJECT / "runs" / "race")
        if result and not (_split(result) and {*NAMES} <= {*result.curves["method"]}):
            result = None
    if result is None:
        print(f"No finished race in {folder.name} yet: training {STEPS[scale]} steps a student.")
        with calm():
            result = run_race(
                folder,
                STEPS[scale],
                SEEDS[scale],
                METHODS,
                lesson_scenes(scale),
                settings={
                    "schedule.batch": batch,
                    "schedule.validate_every": STEPS[scale] // LOOKS[scale],
                },
                listener=tell,
            )
    else:
        print(f"Loaded the finished race {result.folder.name}.")
    if not _split(result):
        raise LabError(f"{folder} was run before its distances were split: give another folder")
    return result


def _finished(folder: Path) -> RaceResult | None:
    try:
        return load_race(folder)
    except LabError:
        return None


def _split(race: RaceResult) -> bool:
    """Whether its runs measured the parts of L1(p^s, p^gt)."""
    return "l1_truth_positive" in race.curves


def last_parts(curves: pd.DataFrame) -> pd.DataFrame:
    """A row a method: L1(p^s, p^gt) at its last validation, its parts, and the background's share.

    Args:
        curves: As a race gives them.
    """
    last = curves.sort_values("step").groupby(["method", "seed"], sort=False).last()
    parts = last.groupby("method", sort=False)[["l1_truth_positive", "l1_truth_background", "AP"]]
    table = parts.mean().rename(columns=lambda name: name.removeprefix("l1_truth_"))
    table.insert(0, "all locations", table["positive"] + table["background"])
    table["share of background"] = table["background"] / table["all locations"]
    return table.round(3)


def turned_down_picture(
    scale: str, race: RaceResult, methods: Iterable[str] = ("kd", "crosskd")
) -> Figure:
    """What the distance to the truth becomes if a race's students scored everything lower."""
    frames = {}
    for method in methods:
        student = train_student(method, scale, race=race.folder)
        print(f"{method}: {student.origin}")
        batch = held_out(student, IMAGES[scale])
        scores, truth, targets = look(student.pair, batch)
        name = method_name(student.config.model.methods)
        frames[name] = score_scaling(scores, truth, targets.positive, FACTORS)
    return score_scaling_figure(frames)


@verdict
def check_split(split: Callable[[Tensor, Tensor, Tensor], tuple[float, float]]) -> str:
    """Whether ``split(scores, truth, positive)`` gives both parts of L1(p^s, p^gt), per positive.

    Args:
        split: Takes ``(P, K)``, ``(P, K)`` and boolean ``(P,)``; returns two numbers.
    """
    scores = torch.tensor([[0.5, 0.2], [0.1, 0.3], [0.0, 0.4], [0.6, 0.0]])
    truth = torch.tensor([[0.9, 0.0], [0.0, 0.0], [0.0, 0.0], [0.7, 0.0]])
    positive = torch.tensor([True, False, False, True])
    got = split(scores.clone(), truth.clone(), positive.clone())
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("return two numbers: the part at positives, and the part on background")
    own, background = (float(part) for part in got)
    if abs(own - 0.35) > 1e-5:
        hints = {0.7: "divide by the number of positives, 2", 0.25: "add up all classes, not one"}
        hint = hints.get(round(own, 3), "add up |p^s - p^gt| over classes where positive is true")
        raise Wrong(f"at positives it gives {own:.3g}; {hint}")
    if abs(background - 0.4) > 1e-5:
        hints = {0.8: "the background, too, is divided by the number of positives"}
        hint = hints.get(round(background, 3), "take all locations that are not positive")
        raise Wrong(f"on background it gives {background:.3g}; {hint}")
    nothing = split(scores, torch.zeros_like(truth), torch.zeros(4, dtype=torch.bool))
    if abs(float(nothing[0])) > 1e-5 or abs(float(nothing[1]) - 2.1) > 1e-5:
        raise Wrong("without any positive, divide by 1: give 0 and the sum of the scores, 2.1")
    return "0.35 at positives and 0.4 on background make 0.75 in all"
