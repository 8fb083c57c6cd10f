"""What a recipe asks for, and one measured step of it, kept with its machine."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..configs import RANDOM, read_config
from ..engine.config import load_experiment
from ..engine.train import quiet
from ..errors import LabError, tell_once
from ..files import PROJECT, read_json, write_whole

STEPS = PROJECT / "data" / "cache" / "steps"
"""Where measurements are kept."""
COCO_IMAGES = 117_266
"""Of COCO's 118,287 training images, those with a box: the paper's epoch."""


@dataclass(frozen=True)
class Work:
    """What a recipe asks for, whatever it runs on.

    Attributes:
        batch: Images a GPU.
        rate: Learning rate that the config names.
        base_batch: Images a step that the rate is for; None where it does not follow the batch.
        images: In an epoch; None where steps are counted.
        epochs: Of the whole run; None where steps are counted.
        steps: Of the whole run where the recipe counts them, whatever the batch.
    """

    batch: int
    rate: float
    base_batch: int | None = None
    images: int | None = None
    epochs: int | None = None
    steps: int | None = None

    def length(self, gpus: int) -> int:
        """Steps of the whole run: the last of an epoch may be a smaller batch."""
        if self.steps:
            return self.steps
        return int(self.epochs or 0) * math.ceil(int(self.images or 0) / (self.batch * gpus))

    def rate_at(self, gpus: int) -> float:
        """The learning rate at that batch, by the linear rule of auto_scale_lr."""
        if not self.base_batch:
            return self.rate
        return self.rate * self.batch * gpus / self.base_batch


@dataclass(frozen=True)
class Measurement:
    """A step on one device: forward, backward and optimiser, on images that are there already.

    Attributes:
        recipe: Its name.
        work: What the recipe asks for.
        step: Seconds, the median.
        backward: Seconds of it that the backward takes; None where unknown.
        gradient: Bytes of the gradients.
        memory: Bytes, NaN where unknown. With ``memory_is`` "peak": the most that torch had
            allocated on a GPU. "kept": weights, gradients, the optimiser's state and what the
            forward keeps for the backward, counted on a CPU; less than a GPU's peak.
        device: The GPU's or CPU's name, or "elsewhere" for a step whose time was given.
        gpu: Whether it is a GPU.
        size: Height and width of the images in pixels.
        threads: Of a CPU.
        steps: How many were measured.
        torch: Its version.
        date: When, UTC.
        settings: What was changed in the recipe.
    """

    recipe: str
    work: Work
    step: float
    backward: float | None
    gradient: int
    memory: float
    memory_is: str
    device: str
    gpu: bool
    size: tuple[int, int]
    threads: int
    steps: int
    torch: str
    date: str
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | Path | None = None) -> Path:
        """Keep it: one file a recipe, its changes, and device; an older one is replaced."""
        folder = STEPS if folder is None else Path(folder)
        changed = json.dumps(self.settings, sort_keys=True, default=str)
        mark = f"-{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if self.settings else ""
        path = folder / f"{_slug(self.recipe)}{mark}.{_slug(self.device)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=2, default=str) + "\n")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Measurement:
        """A measurement that was written before, here or elsewhere.

        Raises:
            LabError: if there is none, or the file holds something else.
        """
        try:
            said = read_json(path, "'crosskd-lab plan' makes one")
            work = Work(**said.pop("work"))
            return cls(**{**said, "work": work, "size": tuple(said["size"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(
                f"{path} is no measured step ({error}): delete it and measure again"
            ) from error


def newest(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    folder: str | Path | None = None,
) -> Measurement | None:
    """The last measurement of a recipe, None where there is none.

    Args:
        recipe: Its name.
        settings: What was changed in it.
        device: Of this device only; without it, of any GPU.
        folder: Where to look instead of ``data/cache/steps``.
    """
    folder = STEPS if folder is None else Path(folder)
    kept = []
    for path in sorted(folder.glob("*.json")):
        try:
            kept.append(Measurement.read(path))
        except LabError as error:  # one broken file hides no other
            tell_once(str(error))
    wanted = json.loads(json.dumps(dict(settings or {}), default=str))
    fit = [m for m in kept if m.recipe == recipe and m.settings == wanted]
    fit = [m for m in fit if (m.gpu if device is None else m.device == device)]
    return max(fit, key=lambda m: m.date, default=None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.removesuffix(".py").lower()).strip("-")


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
