"""The main job: students of one teacher train side by side, and what came of it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from .configs import RANDOM, ROOT, teacher_file
from .errors import LabError
from .evaluate import evaluate
from .experiment import load_experiment
from .figures import race_figure, save
from .files import write_whole
from .record import read_record
from .scenes import write_scenes
from .tables import curves, report_paragraph
from .training import prepare_engine, train

METHODS = ("none", "kd", "crosskd", "crosskd_pkd")
TEACHER, STUDENT = "gfl_r18_w32", "pocket/gfl_r18_w16"
SCENES = {"size": 160, "train": 2000, "val": 250, "seed": 0}
Listener = Callable[[str, int, dict[str, Any]], None]


@dataclass(frozen=True)
class RaceResult:
    """A finished race.

    Attributes:
        folder: Where its runs, figure and text are.
        curves: One row a validation: method, seed, step, AP (points), l1_teacher, l1_truth.
        teacher_ap: The teacher's AP on the same images; None for an untrained one.
        paragraph: What was and was not shown.
    """

    folder: Path
    curves: pd.DataFrame
    teacher_ap: float | None
    paragraph: str

    def figure(self) -> Figure:
        """Fig. 6 at the scale of this race."""
        return race_figure(self.curves, teacher_ap=self.teacher_ap)


def run_race(
    out: str | Path = "runs/race",
    steps: int = 200,
    seeds: int = 1,
    methods: Sequence[str] = METHODS,
    data: str | Path | None = None,
    teacher: str = TEACHER,
    student: str = STUDENT,
    settings: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
) -> RaceResult:
    """Train every method's student for every seed, from one teacher and one start.

    A race that was interrupted goes on where it was; runs that are done are not run again.

    Args:
        out: The race's folder; every run is a folder in it.
        steps: Training steps of each student.
        seeds: How many seeds, 0 ... seeds - 1; methods of one seed see the same draws.
        methods: Names of experiments below ``configs/pocket``.
        data: COCO-format folder; by default synthetic scenes are made.
        teacher: A shipped teacher's name, or "random"; its config is ``pocket/<name>``.
        student: The student's detector config.
        settings: More settings for every run, see :func:`load_experiment`.
        listener: Called with (method, seed, row) for every row of metrics.

    Raises:
        LabError: for a folder that holds another race, and whatever training can refuse.
    """
    out = Path(out)
    prepare_engine()
    data = race_scenes() if data is None else Path(data)
    common = {"student": student, "schedule.steps": steps, **_intervals(steps), **(settings or {})}
    common |= _teacher_settings(teacher)
    plan = [(method, seed) for seed in range(seeds) for method in methods]
    about = {"steps": steps, "data": str(data), "teacher": teacher, "student": student}
    _claim(out, about)
    for method, seed in plan:
        folder = out / f"{method}-s{seed}"
        if not _done(folder):
            cfg = load_experiment(f"pocket/{method}", common, data, seed)
            tell = [lambda row, m=method, s=seed: listener(m, s, row)] if listener else []
            command = ["crosskd-lab", "race", "--steps", str(steps), "--seeds", str(seeds)]
            train(cfg, folder, (folder / "record.json").exists(), command, tell, {"race": out.name})
    if "teacher_ap" not in about:
        about["teacher_ap"] = _teacher_ap(teacher, data)
        _claim(out, about)
    return finish(out, [f"{method}-s{seed}" for method, seed in plan])


def load_race(out: str | Path = "runs/race") -> RaceResult:
    """A race that is over.

    Raises:
        LabError: where there is none, or it has not come to its end.
    """
    out = Path(out)
    runs = [path.name for path in sorted(out.glob("*-s*")) if (path / "record.json").exists()]
    if not runs or not all(_done(out / run) for run in runs) or "teacher_ap" not in _about(out):
        raise LabError(f"{out} holds no finished race: run 'crosskd-lab race --out {out}'")
    return finish(out, runs)


def finish(out: Path, runs: Sequence[str]) -> RaceResult:
    """Draw the figure, write the paragraph, and return both with the numbers."""
    rows = curves(out)
    rows = rows[rows["run"].isin(runs) & (rows["kind"] == "val")].reset_index(drop=True)
    teacher_ap = _about(out)["teacher_ap"]
    text = report_paragraph(rows, teacher_ap=teacher_ap, setting="The race")
    result = RaceResult(out, rows, teacher_ap, text)
    save(result.figure(), out / "race.png")
    write_whole(out / "race.md", text + "\n")
    rows.to_csv(out / "race.csv", index=False)
    return result


def race_scenes() -> Path:
    """The synthetic set that races run on, made if it is not there yet."""
    return write_scenes(ROOT / "data" / "race_scenes", **SCENES)


def _teacher_ap(teacher: str, data: Path) -> float | None:
    if teacher == RANDOM:
        return None
    return evaluate(f"pocket/{Path(teacher).stem}", teacher_file(teacher), data)["AP"]


def _intervals(steps: int) -> dict[str, int]:
    return {"schedule.validate_every": -(-steps // 3), "schedule.warmup": min(100, steps // 3)}


def _teacher_settings(teacher: str) -> dict[str, Any]:
    if teacher == RANDOM:
        return {"teacher.checkpoint": RANDOM}
    return {"teacher.checkpoint": teacher, "teacher.config": f"pocket/{Path(teacher).stem}"}


def _done(folder: Path) -> bool:
    return (folder / "record.json").exists() and read_record(folder)["status"] == "done"


def _about(out: Path) -> dict[str, Any]:
    path = out / "race.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _claim(out: Path, about: dict[str, Any]) -> None:
    """Say what race this folder holds; refuse to mix two in one folder."""
    before = _about(out)
    other = [key for key in about if key in before and before[key] != about[key]]
    if other:
        raise LabError(
            f"{out} holds a race with another {' and '.join(other)}: choose another --out, or "
            "delete the folder to start anew"
        )
    out.mkdir(parents=True, exist_ok=True)
    about |= {k: v for k, v in before.items() if k not in about}
    write_whole(out / "race.json", json.dumps(about, indent=2) + "\n")
