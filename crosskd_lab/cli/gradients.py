"""``crosskd-lab gradients``: where losses pull at a student, and how focused they are (Fig. 5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import TEACHER, Batch, Data, SkipBad, Split, StudentWeights, TeacherConfig


def gradients(
    teacher: Annotated[str, typer.Option(metavar="NAME_OR_FILE", help=TEACHER)],
    student: Annotated[str, typer.Option(metavar="CONFIG", help="The student's config.")],
    data: Data = None,
    teacher_config: TeacherConfig = None,
    student_weights: StudentWeights = None,
    split: Split = "val",
    images: Annotated[int, typer.Option(min=2, help="How many images.")] = 64,
    place: Annotated[
        list[str] | None,
        typer.Option(help="A feature: neck, cls:3, reg:2 ... May be given again."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for gradients.csv, the figures and where they came from.",
            show_default="runs/gradients/{teacher}",
        ),
    ] = None,
    batch: Batch = 8,
    skip_bad: SkipBad = False,
) -> None:
    """Measure the gradients of the detection loss, KD, CrossKD and PKD at the student's features.

    Writes a row an image, feature and loss: share of energy inside boxes, Gini coefficient, cosine
    with the detection gradient; their means with intervals; and the energy maps of one image.
    """
    from ..engine.provenance import origin
    from ..files import sole_writer, write_whole
    from ..gradients import gradient_view
    from ..methods.crosskd import CrossKD, PredictionMimicking
    from ..methods.pkd import PKD
    from ..report.figures import save
    from ..report.map_figures import concentration_figure, energy_figure
    from ..runs.dataset_analysis import open_survey, survey_gradients

    places = [_place(word) for word in place or ["neck", "cls:1", "cls:3"]]
    survey = open_survey(teacher, student, data, split, teacher_config, student_weights, skip_bad)
    out = out or Path("runs") / "gradients" / Path(teacher).stem
    methods = {"CrossKD": CrossKD(), "KD": PredictionMimicking(), "PKD": PKD()}
    with sole_writer(out):
        frame = survey_gradients(survey, methods, places, images, batch)
        write_whole(out / "gradients.csv", frame.to_csv(index=False))
        made = origin() | {"student": student, "pair": survey.identity}
        write_whole(out / "made.json", json.dumps(made, indent=1))
        save(concentration_figure(frame), out / "concentration.png")
        where, i = places[0]
        title = f"Where each loss pulls at the student: {where}" + (f", i = {i}" if i else "")
        view = gradient_view(survey.pair, next(survey.batches(1)), methods, where, i)
        save(energy_figure(view.image, view.maps, view.boxes, title=title), out / "energy.png")
    print(f"{out / 'gradients.csv'}, {out / 'concentration.png'}, {out / 'energy.png'}")


def _place(word: str) -> tuple[str, int]:
    from ..errors import LabError

    where, _, layer = word.partition(":")
    if where not in ("neck", "cls", "reg") or (layer and not layer.isdigit()):
        raise LabError(f"--place {word}: say neck, or cls:3 or reg:3 for a layer of a tower")
    return where, int(layer or 0)
