"""The main job: students of one teacher train side by side, and what came of it is told."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..configs import (
    CONFIGS,
    RANDOM,
    detector_of,
    find_config,
    kept_name,
    listed,
    read_config,
    teachers,
)
from ..data.coco import find_split, read_document
from ..data.scene_sets import write_scenes
from ..engine.config import load_experiment
from ..engine.evaluate import Saved, evaluate, find_saved
from ..engine.record import RECORD, read_record
from ..engine.settings import words_of
from ..engine.together import train_together
from ..engine.train import prepare_engine
from ..errors import LabError
from ..files import (
    PROJECT,
    find_kept,
    here_or_in_project,
    kept_path,
    plain_name,
    read_json,
    sole_writer,
    write_whole,
)
from ..report.figures import race_figure, save
from ..report.page import report_paragraph
from ..report.results import curves
from .recipes import detectors
from .recipes import methods as known_methods

METHODS = ("none", "kd", "crosskd", "crosskd_pkd")
TEACHER, STUDENT = "gfl_r18_w32", "pocket/gfl_r18_w16"
SCENES = {"size": 160, "train": 2000, "val": 250, "seed": 0}
OPTIONS = {
    **dict.fromkeys(("teacher", "teacher.checkpoint"), "--teacher"),
    "student": "--student",
    "schedule.steps": "--steps",
}
"""Entries of a config that a race is told by an option of its own."""
Listener = Callable[[str, int, dict[str, Any]], None]


@dataclass(frozen=True)
class RaceResult:
    """A finished race, in a folder with its runs, figure and text.

    ``curves`` has a row a validation: method, seed, step, AP (points), l1_teacher, l1_truth and its
    parts; ``teacher_ap`` is on the same images, None for an untrained teacher; ``paragraph`` says
    what was and was not shown, ``title`` which student learns from which teacher.
    """

    folder: Path
    curves: pd.DataFrame
    teacher_ap: float | None
    paragraph: str
    title: str

    def figure(self) -> Figure:
        """Fig. 6 at the scale of this race."""
        return race_figure(self.curves, teacher_ap=self.teacher_ap, title=self.title)


def run_race(
    out: str | Path = "runs/race",
    steps: int = 90,
    seeds: int = 1,
    methods: Sequence[str] = METHODS,
    data: str | Path | None = None,
    teacher: str = TEACHER,
    student: str = STUDENT,
    settings: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
) -> RaceResult:
    """Train every method's student for every seed, from one teacher and one start.

    The students of a seed train side by side, on a CPU in as many processes as it has threads; in
    each, a batch is loaded once and seen once by the teacher. They take the fast form of the step
    unless ``settings`` say ``fast=False``. An interrupted race goes on where it was.

    ``out`` gets a folder a run. ``methods`` are experiments below ``configs/pocket``, all with the
    seeds 0 ... seeds - 1; ``data`` is a COCO-format folder, by default synthetic scenes; for
    ``teacher`` and ``student`` see :func:`find_teacher` and :func:`find_student`. ``listener`` is
    called with method, seed and every row of metrics. LabError for a name that stands for nothing,
    a folder that holds another race or has another writer, and whatever training can refuse.
    """
    out = Path(out)
    settings = dict(settings or {})
    check_settings(settings)
    check_methods(methods)
    student = find_student(student)
    given = dict(settings)
    saved = find_teacher(teacher, settings.pop("teacher.config", None))
    prepare_engine()
    data = race_scenes() if data is None else here_or_in_project(data)
    check_objects(data)
    common = {"student": student, "schedule.steps": steps, "fast": True}
    common |= {"schedule.validate_every": -(-steps // 3), "schedule.warmup": min(100, steps // 3)}
    common |= settings
    common |= {"teacher.checkpoint": str(saved.checkpoint), "teacher.config": str(saved.config)}
    kinds = [detector_of(read_config(name)).model.type for name in (saved.config, student)]
    where = kept_path(data)
    about = {"steps": steps, "data": where}
    about |= {"teacher": kept_name(teacher), "student": kept_name(student)}
    about |= {"kinds": kinds, "settings": json.loads(json.dumps(settings, default=str))}
    about |= {"fast": common["fast"]}
    command = ["crosskd-lab", "race", "--steps", str(steps), "--seeds", str(seeds)]
    command += ["--methods", ",".join(methods), "--student", student, "--teacher", teacher]
    command += ["--data", where, "--out", str(out), *words_of(given)]
    with sole_writer(out):
        _claim(out, about)
        for seed in range(seeds):
            runs = [(method, out / f"{method}-s{seed}") for method in methods]
            train_together(
                [
                    {
                        "cfg": load_experiment(f"pocket/{method}", common, data, seed),
                        "folder": folder,
                        "resume": (folder / RECORD).exists(),
                        "command": command,
                        "listeners": [partial(listener, method, seed)] if listener else [],
                        "extra": {"race": out.name},
                    }
                    for method, folder in runs
                    if not _done(folder)
                ],
                among=len(runs),
            )
        if "teacher_ap" not in about:
            known = str(saved.checkpoint) != RANDOM
            measured = evaluate(saved.config, saved.checkpoint, data)["AP"] if known else None
            about["teacher_ap"] = measured
            _claim(out, about)
        return finish(out, [f"{method}-s{seed}" for seed in range(seeds) for method in methods])


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise LabError for an entry that a race is told by an option."""
    for key, option in OPTIONS.items():
        if key in settings:
            raise LabError(f"--set {key}: all students of a race have one: say {option}")


def check_objects(data: Path) -> None:
    """Raise LabError for a set whose validation images have nothing to find."""
    truth = find_split(data, "val").annotations
    boxes = read_document(truth)["annotations"]
    if all(isinstance(box, dict) and box.get("iscrowd") for box in boxes):
        raise LabError(
            f"{truth} has no object to find, so a race would measure no AP: give a set whose val "
            "split has some"
        )


def check_methods(names: Sequence[str]) -> None:
    """Raise LabError for a method that is none, or is named twice, or where none is named."""
    for name in names:
        if not (CONFIGS / "pocket" / f"{name}.py").is_file() or name in detectors() or "/" in name:
            known = listed(known_methods())
            raise LabError(f"there is no method {name!r}: choose from {known}")
    if not names or len(set(names)) < len(names):
        known = listed(known_methods())
        raise LabError(f"a race is of at least one method, each named once: choose from {known}")


def find_student(name: str) -> str:
    """The config of a pocket detector, with or without ``pocket/``, or any detector's config.

    LabError where there is none, listing the pocket detectors.
    """
    name = f"pocket/{name}" if name in detectors() else name
    try:
        find_config(name)
    except LabError:
        raise LabError(
            f"there is no student {name!r}: choose from {listed(detectors())}, or give a config"
        ) from None
    if "model" not in read_config(name):
        raise LabError(f"{name} is no detector: choose from {listed(detectors())}")
    return name


def find_teacher(name: str, config: str | Path | None = None) -> Saved:
    """The config and the file that a teacher's name stands for.

    It may be a shipped teacher, the folder of a run, a checkpoint file of a detector ``config``, or
    "random:NAME" for an untrained one ("random": the default teacher's); LabError for any other.
    """
    kind, _, detector = name.partition(":")
    if kind == RANDOM:
        return Saved(config or find_student(detector or TEACHER), Path(RANDOM))
    shipped, path = teachers(), Path(name)
    if name in shipped or path.is_dir() or (path.is_file() and config):
        return find_saved(name, config)
    if path.is_file():
        raise LabError(f"{name} is a bare checkpoint: say --set teacher.config=CONFIG, its config")
    name = name.removeprefix("pocket/")
    remedy = "name the folder of a run, or random:NAME for an untrained detector"
    if name in detectors():
        remedy = f"train it ('crosskd-lab train pocket/{name}') and name its run, or random:{name}"
    raise LabError(f"no trained {name!r} is shipped: choose from {listed(shipped)}; {remedy}")


def load_race(out: str | Path = "runs/race") -> RaceResult:
    """A race that is over; LabError where there is none, or it has not come to its end."""
    out = Path(out)
    runs = [path.name for path in sorted(out.glob("*-s*")) if (path / "record.json").exists()]
    if not runs or not all(_done(out / run) for run in runs) or "teacher_ap" not in _about(out):
        raise LabError(f"{out} holds no finished race: run 'crosskd-lab race --out {out}'")
    return finish(out, runs)


def finish(out: Path, runs: Sequence[str]) -> RaceResult:
    """Draw the figure, write the paragraph, and return both with the numbers."""
    rows = curves(out)
    rows = rows[rows["run"].isin(runs) & (rows["kind"] == "val")].reset_index(drop=True)
    about = _about(out)
    teacher_ap = about["teacher_ap"]
    pair = f"{plain_name(about['student'])} students of {plain_name(about['teacher'])}"
    kinds = tuple(about.get("kinds", ("GFL", "GFL")))
    text = report_paragraph(rows, teacher_ap=teacher_ap, setting=f"A race of {pair}", kinds=kinds)
    result = RaceResult(out, rows, teacher_ap, text, f"How {pair} train")
    save(result.figure(), out / "race.png")
    write_whole(out / "race.md", text + "\n")
    write_whole(out / "race.csv", rows.to_csv(index=False))
    return result


def race_scenes() -> Path:
    """The synthetic set that races run on, made if it is not there yet."""
    return write_scenes(PROJECT / "data" / "race_scenes", **SCENES)


def _done(folder: Path) -> bool:
    return (folder / "record.json").exists() and read_record(folder)["status"] == "done"


def _about(out: Path) -> dict[str, Any]:
    path = out / "race.json"
    return read_json(path, "delete the folder to start anew") if path.exists() else {}


def _claim(out: Path, about: dict[str, Any]) -> None:
    """Say what race this folder holds; refuse to mix two in one folder."""
    before = _about(out)
    for key, keep in (("data", kept_path), ("teacher", kept_name), ("student", kept_name)):
        if key in before:  # an older race has it as it was typed
            before[key] = keep(find_kept(before[key]))
    other = [key for key in about if key in before and before[key] != about[key]]
    if other:
        raise LabError(
            f"{out} holds a race with another {' and '.join(other)}: choose another --out, or "
            "delete the folder to start anew"
        )
    about |= {k: v for k, v in before.items() if k not in about}
    write_whole(out / "race.json", json.dumps(about, indent=2) + "\n")
