"""``crosskd-lab conflict``: how often a teacher contradicts a student's assigner (Fig. 3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from .options import TEACHER, Batch, Data, SkipBad, Split, StudentWeights, TeacherConfig


def conflict(
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME_OR_FILE",
            help=f"{TEACHER} Given again: more curves, to compare.",
        ),
    ],
    student: Annotated[str, typer.Option(metavar="CONFIG", help="Whose assigner gives targets.")],
    data: Data = None,
    teacher_config: TeacherConfig = None,
    split: Split = "val",
    boxes: Annotated[
        str,
        typer.Option(
            help="Whose boxes the labels of quality heads (GFL) come from: teacher, student (with "
            "--student-weights) or exact (one-hot labels)."
        ),
    ] = "teacher",
    student_weights: StudentWeights = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for conflict.csv, .png, .svg, the counts and where they came from.",
            show_default="runs/conflict/{teacher}",
        ),
    ] = None,
    batch: Batch = 8,
    skip_bad: SkipBad = False,
) -> None:
    """Count the locations where a teacher contradicts what a student's assigner asks for.

    Stopped with Ctrl-C, the same command goes on where it was.
    """
    from ..engine.provenance import origin
    from ..errors import LabError
    from ..files import sole_writer, write_whole
    from ..report.figures import save
    from ..report.map_figures import conflict_figure
    from ..runs.dataset_analysis import open_survey, survey_conflict

    if (boxes == "student") != (student_weights is not None):
        raise LabError("--boxes student and --student-weights belong together: give both or none")
    names = [Path(name).stem for name in teacher]
    if len(set(names)) < len(names):
        raise LabError(f"--teacher names {', '.join(names)}: give each one once")
    out = out or Path("runs") / "conflict" / "-".join(names)
    frames, identities = [], {}
    with sole_writer(out):
        for path, name in zip(teacher, names, strict=True):
            survey = open_survey(
                path, student, data, split, teacher_config, student_weights, skip_bad
            )
            tally = survey_conflict(survey, boxes, out / f"{name}.npz", batch)
            frames.append(tally.frame().assign(teacher=name))
            identities[name] = survey.identity | {"boxes": boxes, "images": tally.images}
        frame = pd.concat(frames)[["teacher", *frames[0].columns.drop("teacher")]]
        write_whole(out / "conflict.csv", frame.to_csv(index=False))
        made = origin() | {"student": student, "teachers": identities}
        write_whole(out / "made.json", json.dumps(made, indent=1))
        whom = "the teacher" if len(names) > 1 else names[0]
        title = f"How often {whom} contradicts the assigner, {tally.images} images"
        save(conflict_figure(frame, title=title), out / "conflict.png")
    for name in names:
        _tell(frame[(frame["teacher"] == name) & (frame["by"] == "all")])
    print(f"{out / 'conflict.csv'}, {out / 'conflict.png'}")


def _tell(whole: pd.DataFrame) -> None:
    """The overall ratios of one teacher, in a line."""
    at = whole.set_index("threshold")["ratio"]
    ratios = ", ".join(f"{at[t]:.3f} above {t}" for t in (0.3, 0.5, 0.7))
    teacher, positives = whole[["teacher", "positives"]].iloc[0]
    if not positives:
        print(f"{teacher}: no location is positive, so there is no ratio of conflict")
        return
    print(f"{teacher}: conflicts per positive location ({positives} positives): {ratios}")
