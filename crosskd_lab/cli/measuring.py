"""``eval``, ``results``, ``conflict`` and ``gradients``: what trained students and pairs show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from .options import (
    TEACHER,
    AnalysisFolder,
    Csv,
    Data,
    Saved,
    SavedConfig,
    SkipBad,
    Split,
    StudentWeights,
    TeacherConfig,
    Wide,
)
from .show import print_table, write_csv


def eval(
    saved: Saved,
    config: SavedConfig = None,
    data: Data = None,
    split: Split = "val",
    out: Annotated[Path | None, Option(help="Also write the numbers to this .json.")] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Measure the COCO AP of a detector: a run's last checkpoint, a file, a shipped teacher."""
    from ..engine.evaluate import evaluate, find_saved
    from ..engine.metrics import NAMES
    from ..files import open_folder, write_whole

    found = find_saved(saved, config)
    if out is not None:
        open_folder(out.parent)
    measured = evaluate(found.config, found.checkpoint, data, split, skip_bad)
    print(f"{saved}: {found.checkpoint.name} on {split}")
    row = {name: measured.get(name) for name in NAMES}  # None: the set has no object of that size
    print_table([row], NAMES)
    if out is not None:
        write_whole(out, json.dumps(measured, indent=2) + "\n")


RESULT_COLUMNS = {
    **{name: name for name in ("source", "study", "method", "variant")},
    "n": "seeds",
    "mean": "mean",
    "difference": "to its baseline",
}


def results(
    table: Annotated[int, Argument(min=1, max=8, help="The paper's table, 1 to 8.")] = 1,
    metric: Annotated[str, Option(help="AP, AP50, AP75, APS, APM or APL.")] = "AP",
    runs: Annotated[Path, Option(help="Folder of your runs.")] = Path("runs"),
    csv: Csv = None,
    wide: Wide = False,
    page: Annotated[
        Path | None,
        Option(help="Instead, write all that is recorded to this .md file, and results.svg."),
    ] = None,
) -> None:
    """Show a table of the paper, the recorded runs of its rows, and yours, each by its source.

    Means have their 95 % interval where there are seeds enough; every row is compared with its own
    baseline, the same student without a teacher. A * marks stale records: today's code no longer
    gives their first losses.
    """
    from ..report.results import measured_curves
    from ..report.results import results as compared
    from ..report.stats import points

    if page is not None:
        from ..files import write_whole
        from ..report.figures import race_figure, render
        from ..report.page import results_page

        write_whole(page, results_page())
        figure = page.with_name("results.svg")
        drawn = race_figure(measured_curves("regime"), title="Students of one teacher, slow regime")
        write_whole(figure, render(drawn, "svg"))
        print(f"wrote {page} and {figure}")
        return
    frame = compared(table, metric, runs=runs)
    rows = frame.to_dict("records")
    for row in rows:
        row |= {key: "" for key in ("study", "method", "variant") if not isinstance(row[key], str)}
        stale = " *" if isinstance(row["stale"], str) and row["stale"] else ""
        row["mean"] = points(row["mean"], row["half_width"]) + stale
        row["difference"] = points(row["difference"], row["difference_half_width"], "+")
    numbers: dict[str, Callable[[Any], str]] = {
        "n": lambda n: "" if n != n else f"{n:.0f}",
        "mean": str,
        "difference": str,
    }
    title = f"Table {table}: {metric} in points"
    print_table(rows, RESULT_COLUMNS, ("study", "n", "variant"), wide, title, numbers)
    write_csv(frame, csv)


def conflict(
    teacher: Annotated[
        list[str],
        Option(metavar="NAME_OR_FILE", help=f"{TEACHER} Given again: more curves, to compare."),
    ],
    student: Annotated[str, Option(metavar="CONFIG", help="Whose assigner gives targets.")],
    data: Data = None,
    teacher_config: TeacherConfig = None,
    split: Split = "val",
    boxes: Annotated[
        str,
        Option(
            help="Whose boxes the labels of quality heads (GFL) come from: teacher, student (with "
            "--student-weights) or exact (one-hot labels)."
        ),
    ] = "teacher",
    student_weights: StudentWeights = None,
    out: AnalysisFolder = None,
    skip_bad: SkipBad = False,
) -> None:
    """Count the locations where a teacher contradicts what a student's assigner asks for.

    Stopped with Ctrl-C, the same command goes on where it was.
    """
    import pandas as pd

    from ..engine.provenance import origin
    from ..errors import LabError
    from ..files import plain_name, sole_writer, write_whole
    from ..report.figures import save
    from ..report.map_figures import conflict_figure
    from ..runs.dataset_analysis import analyse_conflict, open_analysis

    if (boxes == "student") != (student_weights is not None):
        raise LabError("--boxes student and --student-weights belong together: give both or none")
    names = [plain_name(name) for name in teacher]
    if len(set(names)) < len(names):  # files of one name in several folders
        names = [f"{Path(name).parent.name}-{plain_name(name)}" for name in teacher]
    if len(set(names)) < len(names):
        raise LabError(f"--teacher names {', '.join(teacher)}: give each one once")
    out = out or Path("runs") / "conflict" / "-".join(names)
    frames, identities = [], {}
    with sole_writer(out):
        for path, name in zip(teacher, names, strict=True):
            analysis = open_analysis(
                path, student, data, split, teacher_config, student_weights, skip_bad
            )
            histogram = analyse_conflict(analysis, boxes, out / f"{name}.npz")
            frames.append(histogram.frame().assign(teacher=name))
            identities[name] = analysis.identity | {"boxes": boxes, "images": histogram.images}
        frame = pd.concat(frames)[["teacher", *frames[0].columns.drop("teacher")]]
        write_whole(out / "conflict.csv", frame.to_csv(index=False))
        made = origin() | {"student": student, "teachers": identities}
        write_whole(out / "made.json", json.dumps(made, indent=1))
        whom = "the teacher" if len(names) > 1 else names[0]
        title = f"How often {whom} contradicts the assigner, {histogram.images} images"
        save(conflict_figure(frame, title=title), out / "conflict.png")
    for name in names:
        whole = frame[(frame["teacher"] == name) & (frame["by"] == "all")].set_index("threshold")
        ratios = ", ".join(f"{whole['ratio'][t]:.3f} above {t}" for t in (0.3, 0.5, 0.7))
        if positives := whole["positives"].iloc[0]:
            print(f"{name}: conflicts per positive location ({positives} positives): {ratios}")
        else:
            print(f"{name}: no location is positive, so there is no ratio of conflict")
    print(f"{out / 'conflict.csv'}, {out / 'conflict.png'}")


def gradients(
    teacher: Annotated[str, Option(metavar="NAME_OR_FILE", help=TEACHER)],
    student: Annotated[str, Option(metavar="CONFIG", help="The student's config.")],
    data: Data = None,
    teacher_config: TeacherConfig = None,
    student_weights: StudentWeights = None,
    split: Split = "val",
    images: Annotated[int, Option(min=2, help="How many images.")] = 64,
    place: Annotated[
        list[str] | None,
        Option(
            help="A feature: neck, cls:3, reg:2 ... May be given again.",
            show_default="neck, cls:1 and cls:3, or the last of a shorter tower",
        ),
    ] = None,
    out: AnalysisFolder = None,
    skip_bad: SkipBad = False,
) -> None:
    """Measure the gradients of the detection loss, KD, CrossKD and PKD at the student's features.

    Writes a row an image, feature and loss: share of energy inside boxes, Gini coefficient, cosine
    with the detection gradient; their means with intervals; and the energy maps of one image.
    """
    from ..engine.provenance import origin
    from ..files import plain_name, sole_writer, write_whole
    from ..gradients import gradient_view
    from ..methods.crosskd import CrossKD, PredictionMimicking
    from ..methods.pkd import PKD
    from ..report.figures import save
    from ..report.map_figures import ROOT, concentration_figure, maps_figure, roots
    from ..runs.dataset_analysis import analyse_gradients, open_analysis

    places = [_feature(word) for word in place or []]
    analysis = open_analysis(
        teacher, student, data, split, teacher_config, student_weights, skip_bad
    )
    last = min(3, analysis.pair.student_head.depth)
    places = places or [("neck", 0), ("cls", 1), ("cls", last)][: 3 if last > 1 else 2]
    out = out or Path("runs") / "gradients" / plain_name(teacher)
    methods = {"CrossKD": CrossKD(), "KD": PredictionMimicking(), "PKD": PKD()}
    with sole_writer(out):
        frame = analyse_gradients(analysis, methods, places, images)
        write_whole(out / "gradients.csv", frame.to_csv(index=False))
        made = origin() | {"student": student, "pair": analysis.identity}
        write_whole(out / "made.json", json.dumps(made, indent=1))
        save(concentration_figure(frame), out / "concentration.png")
        where, i = places[0]
        title = f"Where each loss pulls at the student: {where}" + (f", i = {i}" if i else "")
        view = gradient_view(analysis.pair, next(analysis.batches(1)), methods, where, i)
        energy = maps_figure(view.image, view.boxes, roots(view.maps), title, label=ROOT)
        save(energy, out / "energy.png")
    print(f"{out / 'gradients.csv'}, {out / 'concentration.png'}, {out / 'energy.png'}")


def _feature(word: str) -> tuple[str, int]:
    from ..errors import LabError

    where, _, layer = word.partition(":")
    wrong = layer and (where == "neck" or not layer.isdigit())
    if where not in ("neck", "cls", "reg") or wrong:
        raise LabError(f"--place {word}: say neck, or cls:3 or reg:3 for a layer of a tower")
    return where, int(layer or 0)
