"""Real photographs for lessons 04 and 05, where ``CROSSKD_REAL_DATA`` names a folder of them."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

from ..configs import RANDOM
from ..conflict import conflict_view
from ..engine.config import load_experiment
from ..engine.hooks import last_checkpoint
from ..engine.record import read_record
from ..engine.train import quiet, train
from ..files import PROJECT
from ..maps import View
from ..report.figures import render
from ..report.map_figures import target_maps_figure
from ..runs.dataset_analysis import open_survey
from .galleries import Frames
from .students import effort

VARIABLE = "CROSSKD_REAL_DATA"
ASSIGNERS = {"GFL and ATSS": "gfl", "FCOS": "fcos", "RetinaNet": "retinanet"}


def real_set(name: str) -> Path | None:
    """A set of real photographs; None, and a line that says so, where there is none.

    Args:
        name: Of a folder in COCO format below the one that ``CROSSKD_REAL_DATA`` names.
    """
    root = os.environ.get(VARIABLE)
    folder = Path(root) / name if root else None
    if folder is None or not folder.is_dir():
        where = f"{VARIABLE} is not set" if folder is None else f"there is no {folder}"
        print(f"{where}: no photographs here. Set it to a folder that holds {name} in COCO format.")
        return None
    return folder


def assigner_frames(folder: Path | None, images: int = 6) -> Frames | None:
    """A slider over photographs: where the assigners of three families put their positives.

    Assigners look at boxes alone: no detector is trained for it.

    Args:
        folder: Any COCO-format set with a split "val"; None gives None.
        images: How many, those without boxes left out.
    """
    if folder is None:
        return None
    columns = [_asked(folder, family, images) for family in ASSIGNERS.values()]
    pictures = {}
    for index, views in enumerate(zip(*columns, strict=True)):
        said = [view.maps["ground truth"] for view in views]
        maps = dict(zip(ASSIGNERS, said, strict=True))
        first, title = views[0], "What three assigners ask for"
        figure = target_maps_figure(first.image, maps, first.boxes, circled=0, title=title)
        pictures[index] = render(figure, "png")
    return Frames(pictures, "photograph")


def photo_teacher(scale: str, folder: Path, out: str | Path | None = None) -> tuple[str, str]:
    """A teacher for photographs: trained there at once, or untrained at scale smoke.

    Args:
        scale: "smoke", "cpu" or "gpu".
        folder: A COCO-format set with splits "train" and "val".
        out: The run's folder, by default one below ``runs/photographs``; a finished run is used.

    Returns:
        What to give as a teacher, and what it is, in words.
    """
    if scale == "smoke":
        return RANDOM, "an UNTRAINED teacher: its gradients are noise, and only show that it runs"
    steps, batch = 2 * effort(scale).steps, effort(scale).batch
    run = Path(out) if out else PROJECT / "runs" / "photographs" / f"{folder.name}-{scale}"
    begun = (run / "record.json").is_file()
    if not begun or read_record(run)["status"] != "done":
        settings = {
            "steps": steps,
            "batch": batch,
            "warmup": -(-steps // 4),
            "validate_every": steps,
        }
        settings = {f"schedule.{name}": value for name, value in settings.items()}
        train(load_experiment("pocket/gfl_r18_w32", settings, folder), run, begun)
    points = (read_record(run)["results"] or {}).get("AP", float("nan"))
    words = f"a teacher trained here for {steps} steps of {batch} images, AP {points:.1f}"
    return str(last_checkpoint(run)), words


def _asked(folder: Path, family: str, images: int) -> list[View]:
    config = f"pocket/{family}_r18_w32"
    student = f"pocket/{family}_r18_w16"
    survey = open_survey(RANDOM, student, folder, teacher_config=config, skip_bad=True)
    with quiet():
        return [
            conflict_view(survey.pair, batch, boxes="exact")
            for batch in islice(filter(_has_boxes, survey.batches(1)), images)
        ]


def _has_boxes(batch: dict[str, Any]) -> bool:
    return len(batch["data_samples"][0].gt_instances) > 0
