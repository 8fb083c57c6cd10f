"""A pair held against a whole COCO-format set: conflict (Fig. 3) and gradients (Fig. 5)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from tqdm.auto import tqdm

from ..classes import match_classes, trained_classes
from ..configs import RANDOM, detector_of, read_config, set_classes
from ..conflict import ConflictHistogram, find_conflict
from ..engine.evaluate import Saved, find_saved, split_settings
from ..engine.schedule import AREAS, load_boxes_first
from ..engine.train import prepare_engine, quiet, settle
from ..errors import LabError
from ..files import sha256
from ..gradients import measure_gradients
from ..methods.base import Method
from ..pair import Pair, build_pair, load_in_full

COCO_AREAS = 32, 96
BAR: Any = {"unit": "image", "disable": None, "leave": False}


@dataclass(frozen=True)
class Analysis:
    """A pair in evaluation mode, mmdet's dataset with ground truth to hold it against, and both's
    ``identity``: what decides the results. ``areas`` are the sides, in pixels, of the squares that
    part small, medium and large boxes.
    """

    pair: Pair
    dataset: Any
    classes: tuple[str, ...]
    areas: tuple[float, ...]
    identity: dict[str, Any]

    def batches(
        self, size: int = 8, first: int = 0, last: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Preprocessed batches of images ``first`` to ``last`` (all by default), in order."""
        last = len(self.dataset) if last is None else min(last, len(self.dataset))
        for start in range(first, last, size):
            samples = [self.dataset[i] for i in range(start, min(start + size, last))]
            yield self.pair.student.data_preprocessor(pseudo_collate(samples))


def open_analysis(
    teacher: str,
    student: str,
    data: str | Path | None = None,
    split: str = "val",
    teacher_config: str | Path | None = None,
    student_weights: str | Path | None = None,
    skip_bad: bool = False,
) -> Analysis:
    """Build a pair and open a split for it.

    ``teacher`` is a shipped teacher's name, a run's folder, a checkpoint file of a
    ``teacher_config``, or "random"; ``student`` a detector's or an experiment's config, of which
    only the assigner matters for conflict, with ``student_weights`` a run's folder or a checkpoint
    (none: untrained). ``data`` is by default that of the teacher's config; ``skip_bad`` leaves
    broken records out instead of refusing the set. LabError for what does not fit together.
    """
    prepare_engine()
    if teacher != RANDOM:
        saved = find_saved(teacher, teacher_config)
    elif teacher_config is None:
        raise LabError(f"a {RANDOM} teacher needs its config: say with --teacher-config what it is")
    else:
        saved = Saved(teacher_config, Path(RANDOM))
    with quiet():
        theirs, ours = (detector_of(read_config(name)) for name in (saved.config, student))
    said = theirs.get("data") or ours.get("data") or {}
    if said:
        theirs.data = said
    known = trained_classes(theirs, saved.checkpoint)
    weights = Path(student_weights) if student_weights else None
    if weights and not weights.is_file():
        weights = find_saved(str(student_weights)).checkpoint
    mine = trained_classes(ours, weights) if weights else known
    annotations, settings = split_settings(theirs, mine, data, split, skip_bad)
    load_boxes_first(settings)
    classes = tuple(settings["metainfo"]["classes"])
    if known:
        match_classes(classes, known)  # before weights of other shapes are met
    for cfg in (theirs, ours):
        set_classes(cfg.model, len(classes))
    torch.manual_seed(0)  # untrained weights, where they are asked for, are the same every time
    made = {"config": theirs.model, "checkpoint": str(saved.checkpoint)}
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        pair = build_pair(ours.model, {**made, "classes": known or classes}, classes)
        if weights is None:
            pair.student.init_weights()
        else:
            load_in_full(pair.student, weights)
        settle(pair.teacher)
        settle(pair.student).eval()
        dataset = DATASETS.build(settings)
    images = hashlib.sha256()
    for number in range(len(dataset)):
        images.update(bytes.fromhex(sha256(dataset.get_data_info(number)["img_path"])))
    identity = {
        "teacher": pair.teacher_id,
        "student": hashlib.sha256(Config(dict(model=ours.model)).pretty_text.encode()).hexdigest(),
        "weights": sha256(weights) if weights else None,
        "classes": classes,
        "annotations": sha256(annotations),
        "images": images.hexdigest(),
        "split": split,
        "size": said.get("size") or str(settings["pipeline"]),
    }
    areas = AREAS if said else COCO_AREAS
    return Analysis(pair, dataset, classes, areas, identity)


def analyse_conflict(
    analysis: Analysis,
    boxes: str = "teacher",
    state: str | Path | None = None,
    batch: int = 8,
    every: int = 200,
) -> ConflictHistogram:
    """Count target conflict over the set, image by image, with a progress bar.

    ``boxes`` says whose boxes quality labels come from: "teacher", "student" or "exact", see
    :mod:`crosskd_lab.conflict`. ``state`` is a file that keeps the counts, written after ``every``
    images: an analysis that was stopped goes on from there; one of another analysis is a LabError.
    """
    histogram = ConflictHistogram(
        analysis.pair.teacher_head.strides, analysis.classes, analysis.areas
    )
    identity = json.dumps({**analysis.identity, "boxes": boxes, "areas": analysis.areas})
    if state is not None and Path(state).exists():
        histogram.load(state, identity)
    first, total = histogram.images, len(analysis.dataset)
    kept = first
    with tqdm(**BAR, desc="conflict", total=total, initial=first) as bar, quiet():
        for found in analysis.batches(batch, first):
            histogram.add(find_conflict(analysis.pair, **found, boxes=boxes))
            bar.update(histogram.images - bar.n)
            if state is not None and (
                histogram.images - kept >= every or histogram.images == total
            ):
                histogram.save(state, identity)
                kept = histogram.images
    return histogram


def analyse_gradients(
    analysis: Analysis,
    methods: Mapping[str, Method],
    places: Sequence[tuple[str, int]] = (("neck", 0),),
    images: int = 64,
    batch: int = 8,
) -> pd.DataFrame:
    """Concentration of every loss's gradient on the first images, with a progress bar.

    ``methods`` by the names that the rows shall have, ``places`` as (where, i): ("neck", 0),
    ("cls", 3) ...; see :func:`crosskd_lab.gradients.measure_gradients`.
    """
    with tqdm(**BAR, desc="gradients", total=min(images, len(analysis.dataset))) as bar:

        def counted() -> Iterator[dict[str, Any]]:
            for found in analysis.batches(batch, last=images):
                yield found
                bar.update(len(found["data_samples"]))

        return measure_gradients(analysis.pair, counted(), methods, places)
