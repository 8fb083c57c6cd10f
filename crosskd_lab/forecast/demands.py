"""What a recipe asks for: its batch, its steps or epochs, and the size of its images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..configs import RANDOM, read_config
from ..errors import LabError
from ..experiment import load_experiment
from ..training.run import quiet
from .measurement import COCO_IMAGES, Work

KNOWN = {"instances_train2017.json": COCO_IMAGES}
"""Images that have boxes, of sets whose annotations need not be here to be planned with."""


def planned_config(
    recipe: str, settings: Mapping[str, Any] | None, data: str | Path | None
) -> Config:
    """The completed config, its teacher an untrained one: none has to be on this machine."""
    changed = dict(settings or {})
    if "teacher" in read_config(recipe):
        changed["teacher.checkpoint"] = RANDOM
    return load_experiment(recipe, changed, data)


def find_work(cfg: Config) -> Work:
    """What a completed config asks for.

    Raises:
        LabError: if it counts epochs of a set that is not here and whose length nobody knows.
    """
    loader, loop = cfg.train_dataloader, cfg.train_cfg
    facts: dict[str, Any] = dict(
        batch=int(loader.batch_size),
        rate=float(cfg.optim_wrapper.optimizer.lr),
        base_batch=cfg.get("auto_scale_lr", {}).get("base_batch_size"),
    )
    if loop.get("max_iters"):
        return Work(**facts, steps=int(loop.max_iters))
    return Work(**facts, epochs=int(loop.max_epochs), images=count_images(loader.dataset))


def count_images(dataset: Mapping[str, Any]) -> int:
    """Images of a training set that have something to learn from.

    Args:
        dataset: Its config, as in ``train_dataloader``.

    Raises:
        LabError: if its annotations are not here, and it is not COCO.
    """
    inner: Any = dataset
    while "dataset" in inner:
        inner = inner["dataset"]
    file = Path(inner.get("data_root") or "") / inner["ann_file"]
    if file.is_file():
        with quiet(), redirect_stdout(io.StringIO()), DefaultScope.overwrite_default_scope("mmdet"):
            return len(DATASETS.build(dict(dataset)))
    if file.name in KNOWN:
        return KNOWN[file.name]
    raise LabError(
        f"there is no {file}, so the length of an epoch is not known: name the set with --data"
    )


def image_size(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels of a planned image: 4 to 3, as large as the recipe's scale allows.

    A square scale gives a square; both sides are padded as the recipe pads them.
    """
    scales = _scales(cfg.train_dataloader)
    if not scales:
        raise LabError("the recipe's pipeline names no scale, so the size of its images is unknown")
    short, long = max(sorted(scale) for scale in scales)
    if short != long:
        factor = min(long / 4, short / 3)
        short, long = round(3 * factor), round(4 * factor)
    student = cfg.model.get("student", cfg.model)
    pad = int((student.get("data_preprocessor") or {}).get("pad_size_divisor") or 1)
    height, width = (-(-side // pad) * pad for side in (short, long))
    return height, width


def class_count(cfg: Config) -> int:
    """Classes that the student scores, the background left out."""
    student = cfg.model.get("student", cfg.model)
    scorer = student.roi_head.bbox_head if "roi_head" in student else student.bbox_head
    return int(scorer.num_classes)


def _scales(node: Any) -> list[tuple[int, int]]:
    """Every (width, height) that a pipeline may resize to."""
    if isinstance(node, Mapping):
        own = [node[key] for key in ("scale", "scales") if key in node]
        found = [s for s in own for s in (s if isinstance(s, list) else [s])]
        inner = [value for key, value in node.items() if key not in ("scale", "scales")]
        return [tuple(s) for s in found if isinstance(s, (tuple, list))] + _scales(inner)
    if isinstance(node, (list, tuple)):
        return [scale for part in node for scale in _scales(part)]
    return []
