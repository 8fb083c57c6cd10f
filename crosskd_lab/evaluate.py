"""AP of a saved detector on any COCO-format set: one function for students, teachers and races."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from tqdm.auto import tqdm

from .classes import trained_classes
from .coco import read_classes
from .configs import TEACHERS, detector_of, read_config, set_classes
from .errors import LabError
from .experiment import sound_split
from .files import PROJECT
from .pair import build_detector, load_in_full
from .schedule import split_dataset
from .training.metric import BoxAP
from .training.run import last_checkpoint, prepare_engine, quiet, settle


@dataclass(frozen=True)
class Saved:
    """A detector on disk: the config that builds it and the file with its weights."""

    config: Path | str
    checkpoint: Path


def find_saved(name: str | Path, config: str | Path | None = None) -> Saved:
    """The detector that a run folder, a shipped teacher's name or a checkpoint file stands for.

    Args:
        name: A run's folder (its last checkpoint is taken), a name in ``data/teachers``, or a
            ``.safetensors`` or ``.pth`` file.
        config: The file's config; a run and a shipped teacher bring their own.

    Raises:
        LabError: if there is no such thing, a run has no checkpoint yet, or a file no config.
    """
    path = Path(name)
    if os.path.isdir(path):  # False also for names that no file can have
        newest = last_checkpoint(path)
        if newest is None:
            raise LabError(f"{path} holds no checkpoint: name a run that has saved one")
        return Saved(config or path / "config.py", newest)
    shipped = TEACHERS / f"{name}.safetensors"
    if not os.path.isfile(path) and os.path.isfile(shipped):
        return Saved(config or TEACHERS / str(name) / "config.py", shipped)
    if not os.path.isfile(path):
        known = ", ".join(sorted(p.stem for p in TEACHERS.glob("*.safetensors"))) or "none"
        raise LabError(f"there is no {name}: give a run folder, a checkpoint or a teacher: {known}")
    if config is None:
        raise LabError(f"{path} is a bare checkpoint: say with --config what it was trained with")
    return Saved(config, path)


def evaluate(
    config: str | Path | Config,
    checkpoint: str | Path,
    data: str | Path | None = None,
    split: str = "val",
    skip_bad: bool = False,
) -> dict[str, float]:
    """AP of a detector on a split.

    Args:
        config: A detector's or an experiment's config (then its student is meant), or a run's.
        checkpoint: A file with exactly the detector's weights.
        data: Folder of a COCO-format set; the config's own by default.
        split: "train", "val" or "test".
        skip_bad: Leave broken records out instead of refusing the set.

    Returns:
        AP, AP50, AP75, APS, APM, APL in points, without those that the set cannot measure because
        no object has such an area.

    Raises:
        LabError: for a set that does not fit the detector, or weights that do not.
    """
    prepare_engine()
    cfg = detector_of(config if isinstance(config, Config) else read_config(config))
    if not cfg.get("data"):
        raise LabError("the config has no data = dict(root=..., size=...): the images need a size")
    known = trained_classes(cfg, checkpoint)
    annotations, dataset = split_settings(cfg, known, data, split, skip_bad)
    set_classes(cfg.model, len(dataset["metainfo"]["classes"]))
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        detector = settle(build_detector(cfg.model))
        load_in_full(detector, checkpoint)
        metric = BoxAP(str(annotations), cfg.data.get("areas", (20, 40)))
        with redirect_stdout(io.StringIO()):
            loader = _loader(dataset, int(cfg.get("schedule", {}).get("batch", 16)))
        return _measure(detector, loader, metric, f"{split}, {len(loader.dataset)} images")


def _loader(dataset: dict[str, Any], batch: int) -> Any:
    settings = dict(
        batch_size=batch,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dataset,
    )
    return Runner.build_dataloader(settings, seed=0)


def split_settings(
    cfg: Config, classes: Sequence[str] | None, data: str | Path | None, split: str, skip_bad: bool
) -> tuple[Path, dict[str, Any]]:
    """Annotation file and dataset config of a split, labelled in the order of the classes.

    Args:
        cfg: A detector's config with ``data``.
        classes: The detector's; None for the set's own.
        data: Folder of a COCO-format set; the config's own by default.
        split: "train", "val" or "test".
        skip_bad: Leave broken records out (and say so) instead of refusing the set.

    Raises:
        LabError: for a set that cannot be used.
    """
    root = Path(data or cfg.data.root)
    root = root if root.exists() or root.is_absolute() else PROJECT / root
    sound = sound_split(root, split, skip_bad)
    place = {"annotations": str(sound.annotations), "images": str(sound.images)}
    named = tuple(classes or read_classes(sound.annotations))
    settings = {"size": cfg.data.size, "classes": named, split: place}
    return sound.annotations, split_dataset(settings, split, train=False)


@torch.no_grad()
def _measure(detector: Any, loader: Any, metric: BoxAP, title: str) -> dict[str, float]:
    detector.eval()
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in tqdm(loader, desc=title, unit="batch", disable=None, leave=False):
        evaluator.process(detector.test_step(batch), batch)
    return evaluator.evaluate(len(loader.dataset))
