"""``crosskd-lab conflict``: how often a teacher contradicts a student's assigner (Fig. 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosskd_lab.cli.pair_options import (
    Batch,
    Data,
    SkipBad,
    Split,
    StudentWeights,
    Teacher,
    TeacherConfig,
)


def conflict(
    teacher: Teacher,
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
            help="Folder for conflict.csv, .png, .svg and the counts.",
            show_default="runs/conflict/{teacher}",
        ),
    ] = None,
    batch: Batch = 8,
    skip_bad: SkipBad = False,
) -> None:
    """Count the locations where a teacher contradicts what a student's assigner asks for.

    Stopped with Ctrl-C, the same command goes on where it was.
    """
    from crosskd_lab.errors import LabError
    from crosskd_lab.figures import conflict_figure, save
    from crosskd_lab.files import write_whole
    from crosskd_lab.survey import open_survey, survey_conflict

    if (boxes == "student") != (student_weights is not None):
        raise LabError("--boxes student and --student-weights belong together: give both or none")
    survey = open_survey(teacher, student, data, split, teacher_config, student_weights, skip_bad)
    out = out or Path("runs") / "conflict" / Path(teacher).stem
    out.mkdir(parents=True, exist_ok=True)
    tally = survey_conflict(survey, boxes, out / "counts.npz", batch)
    frame = tally.frame()
    frame.insert(0, "teacher", Path(teacher).stem)
    write_whole(out / "conflict.csv", frame.to_csv(index=False))
    title = f"How often {Path(teacher).stem} contradicts the assigner, {tally.images} images"
    save(conflict_figure(frame, title=title), out / "conflict.png")
    whole = frame[frame["by"] == "all"].set_index("threshold")
    ratios = ", ".join(f"{whole.loc[t, 'ratio']:.3f} above {t}" for t in (0.3, 0.5, 0.7))
    print(f"conflicts a positive location ({whole['positives'].iloc[0]} positives): {ratios}")
    print(f"{out / 'conflict.csv'}, {out / 'conflict.png'}")
