"""``crosskd-lab conflict``: how often a teacher contradicts a student's assigner (Fig. 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def conflict(
    teacher: Annotated[
        str, typer.Option(metavar="NAME_OR_FILE", help="A shipped teacher, a run or a checkpoint.")
    ],
    student: Annotated[str, typer.Option(metavar="CONFIG", help="Whose assigner gives targets.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A COCO-format folder; by default the teacher's own."),
    ] = None,
    teacher_config: Annotated[
        str | None, typer.Option(metavar="CONFIG", help="What a bare checkpoint belongs to.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    boxes: Annotated[
        str,
        typer.Option(
            help="Whose boxes the labels of quality heads (GFL) come from: teacher, student (with "
            "--student-weights) or exact (one-hot labels)."
        ),
    ] = "teacher",
    student_weights: Annotated[
        str | None, typer.Option(metavar="RUN_OR_FILE", help="A trained student.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for conflict.csv, .png, .svg and the counts.",
            show_default="runs/conflict/{teacher}",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 8,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that are broken, and say which.")
    ] = False,
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
