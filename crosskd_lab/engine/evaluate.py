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

from ..classes import trained_classes
from ..configs import TEACHERS, detector_of, innermost, read_config, set_classes
from ..data.coco import Split, read_classes
from ..errors import LabError
from ..files import PROJECT
from ..pair import build_detector, load_in_full
from .config import sound_split, take_place
from .hooks import need_checkpoint
from .metrics import BoxAP
from .schedule import split_dataset
from .train import prepare_engine, quiet, settle


@dataclass(frozen=True)
class Saved:
    """A detector on disk: the config that builds it and the file with its weights."""

    config: Path | str
    checkpoint: Path


def find_saved(name: str | Path, config: str | Path | None = None) -> Saved:
    """The detector that a run folder (its last checkpoint), the name of a shipped teacher, or a
    checkpoint file with its ``config`` stands for.

    Raises:
        LabError: if there is no such thing, a run has no checkpoint yet, or a file no config.
    """
    path = Path(name)
    if os.path.isdir(path):  # False also for names that no file can have
        return Saved(config or path / "config.py", need_checkpoint(path))
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
    """AP, AP50, AP75, APS, APM, APL of a detector on a split, in points.

    Those that the set cannot measure, because no object has such an area, are left out. ``config``
    is a detector's, an experiment's (then its student is meant) or a run's; ``checkpoint`` has
    exactly the detector's weights. LabError for a set or weights that do not fit.
    """
    prepare_engine()
    cfg = detector_of(config if isinstance(config, Config) else read_config(config))
    known = trained_classes(cfg, checkpoint)
    annotations, dataset = split_settings(cfg, known, data, split, skip_bad)
    set_classes(cfg.model, len(dataset["metainfo"]["classes"]))
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        detector = settle(build_detector(cfg.model))
        load_in_full(detector, checkpoint)
        with redirect_stdout(io.StringIO()):
            loader = _loader(dataset, _batch(cfg))
        sides = {"areas": cfg.data.get("areas", (20, 40))} if cfg.get("data") else {}
        metric = BoxAP(str(annotations), **sides)
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

    As for :func:`evaluate`. ``cfg`` has ``data``, or mmdet's ``val_dataloader``, whose pipeline
    then reads the images; ``classes`` None takes the set's own.
    """
    ours = cfg.get("data")
    if not ours and "val_dataloader" not in cfg:
        raise LabError(
            "the config has neither data = dict(root=..., size=...) nor mmdet's val_dataloader: "
            "images need a size"
        )
    if data or ours:
        root = Path(data or ours.root)
        root = root if root.exists() or root.is_absolute() else PROJECT / root
        sound = sound_split(root, split, skip_bad)
    else:
        sound = _stock_split(cfg, split)
    named = tuple(classes or read_classes(sound.annotations))
    if not ours:
        dataset = cfg.val_dataloader.dataset
        take_place(dataset, sound, named)
        return sound.annotations, innermost(dataset)
    place = {"annotations": str(sound.annotations), "images": str(sound.images)}
    settings = {"size": ours.size, "classes": named, split: place}
    return sound.annotations, split_dataset(settings, split, train=False)


def _stock_split(cfg: Config, split: str) -> Split:
    """Where mmdet's loader of a split finds it."""
    if not (loader := cfg.get(f"{split}_dataloader")):
        raise LabError(f"the config has no {split} split: name a set with --data")
    dataset = innermost(loader.dataset)
    root = Path(dataset.get("data_root") or "")
    return Split(split, root / dataset.ann_file, root / dataset.data_prefix["img"])


def _batch(cfg: Config) -> int:
    """Images at once: our schedule's, or those of mmdet's loader."""
    if "schedule" in cfg:
        return int(cfg.schedule.get("batch", 16))
    return int(cfg.get("val_dataloader", {}).get("batch_size", 16))


@torch.no_grad()
def _measure(detector: Any, loader: Any, metric: BoxAP, title: str) -> dict[str, float]:
    detector.eval()
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in tqdm(loader, desc=title, unit="batch", disable=None, leave=False):
        evaluator.process(detector.test_step(batch), batch)
    return evaluator.evaluate(len(loader.dataset))
