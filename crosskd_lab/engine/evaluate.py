"""A saved detector, student or teacher: found, measured on a COCO-format set, written for mmdet."""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
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
from ..configs import (
    TEACHERS,
    config_text,
    detector_of,
    innermost,
    listed,
    read_config,
    set_classes,
    teachers,
)
from ..data.coco import Split, read_classes
from ..errors import LabError
from ..files import here_or_in_project, sole_writer, write_whole
from ..pair import build_detector, load_in_full
from ..stack.checkpoints import save_weights
from .config import sound_split, take_place
from .hooks import need_checkpoint
from .metrics import BoxAP
from .schedule import AREAS, split_dataset
from .train import prepare_engine, quiet, settle


@dataclass(frozen=True)
class Saved:
    """A detector on disk: the config that builds it and the file with its weights."""

    config: Path | str
    checkpoint: Path


def find_saved(name: str | Path, config: str | Path | None = None) -> Saved:
    """The detector that a run folder (its last checkpoint), the name of a shipped teacher, or a
    checkpoint file with its ``config`` stands for.

    LabError if there is no such thing, a run has no checkpoint yet, or a file no config.
    """
    path = Path(name)
    if os.path.isdir(path):  # False also for names that no file can have
        return Saved(config or path / "config.py", need_checkpoint(path))
    shipped = TEACHERS / f"{name}.safetensors"
    if not os.path.isfile(path) and os.path.isfile(shipped):
        return Saved(config or TEACHERS / str(name) / "config.py", shipped)
    if not os.path.isfile(path):
        known = listed(teachers())
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
    cfg = detector_of(deepcopy(config) if isinstance(config, Config) else read_config(config))
    known = trained_classes(cfg, checkpoint)
    annotations, dataset = split_settings(cfg, known, data, split, skip_bad)
    set_classes(cfg.model, len(dataset["metainfo"]["classes"]))
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        detector = settle(build_detector(cfg.model))
        load_in_full(detector, checkpoint)
        sampler = dict(type="DefaultSampler", shuffle=False)
        theirs = (cfg.get("val_dataloader") or {}).get("batch_size", 16)
        batch = int(cfg.schedule.get("batch", 16) if "schedule" in cfg else theirs)
        settings = dict(batch_size=batch, num_workers=0, sampler=sampler, dataset=dataset)
        loader = Runner.build_dataloader(settings, seed=0)
        sides = {"areas": AREAS} if own_data(cfg) else {}
        metric = BoxAP(str(annotations), **sides)
        return _measure(detector, loader, metric, f"{split}, {len(loader.dataset)} images")


def own_data(cfg: Config) -> Any:
    """A config's ``data`` where they have a size, as the lab's do; mmdet's loaders name theirs."""
    data = cfg.get("data") or {}
    return data if "size" in data else None


def split_settings(
    cfg: Config, classes: Sequence[str] | None, data: str | Path | None, split: str, skip_bad: bool
) -> tuple[Path, dict[str, Any]]:
    """Annotation file and dataset config of a split, labelled in the order of the classes.

    As for :func:`evaluate`. ``cfg`` has ``data``, or mmdet's ``val_dataloader``, whose pipeline
    then reads the images; ``classes`` None takes the set's own.
    """
    ours = own_data(cfg)
    if not ours and not cfg.get("val_dataloader"):
        raise LabError(
            "the config has neither data = dict(root=..., size=...) nor mmdet's val_dataloader: "
            "images need a size"
        )
    if data or ours:
        sound = sound_split(here_or_in_project(data or ours.root), split, skip_bad)
    elif loader := cfg.get(f"{split}_dataloader"):  # mmdet's own
        stock = innermost(loader.dataset)
        root = Path(stock.get("data_root") or "")
        sound = Split(split, root / stock.ann_file, root / stock.data_prefix["img"])
    else:
        raise LabError(f"the config has no {split} split: name a set with --data")
    named = tuple(classes or read_classes(sound.annotations))
    if not ours:
        dataset = cfg.val_dataloader.dataset
        take_place(dataset, sound, named)
        return sound.annotations, innermost(dataset)
    place = {"annotations": str(sound.annotations), "images": str(sound.images)}
    settings = {"size": ours.size, "classes": named, split: place}
    return sound.annotations, split_dataset(settings, split, train=False)


@torch.no_grad()
def _measure(detector: Any, loader: Any, metric: BoxAP, title: str) -> dict[str, float]:
    detector.eval()
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = loader.dataset.metainfo
    for batch in tqdm(loader, desc=title, unit="batch", disable=None, leave=False):
        evaluator.process(detector.test_step(batch), batch)
    return evaluator.evaluate(len(loader.dataset))


SUFFIXES = (".pth", ".safetensors")


def export(
    saved: str | Path, out: str | Path, config: str | Path | None = None
) -> tuple[Path, Path]:
    """Write a detector's weights, and the config that builds it in stock mmdet; both files.

    ``saved`` is a run's folder, a shipped teacher's name, or a checkpoint with its ``config``;
    ``out`` a ``.pth`` or ``.safetensors`` file, beside which the config goes as ``.py``. Both also
    hold the class names; ``mmdet.apis.init_detector(config, checkpoint)`` opens a ``.pth``.
    LabError for files that are there already, or weights that do not fit.
    """
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise LabError(f"{out}: give the file to write one of the suffixes {', '.join(SUFFIXES)}")
    with sole_writer(out.parent, out.stem):
        return _export(saved, out, config)


def _export(saved: str | Path, out: Path, config: str | Path | None) -> tuple[Path, Path]:
    for path in (out, out.with_suffix(".py")):
        if path.exists():
            raise LabError(f"{path} is there already: give another name or remove it")
    found = find_saved(saved, config)
    prepare_engine()
    cfg = detector_of(read_config(found.config))
    detector, names = build_detector(cfg.model), trained_classes(cfg, found.checkpoint)
    with quiet():
        load_in_full(detector, found.checkpoint)  # a misfit is told here
    weights = dict(detector.state_dict())
    try:
        if out.suffix == ".safetensors":
            save_weights(weights, out, half=False, classes=names)
        else:
            meta = {"dataset_meta": {"classes": tuple(names)}} if names else {}
            content = io.BytesIO()
            torch.save({"meta": meta, "state_dict": weights}, content)
            write_whole(out, content.getvalue())
        write_whole(out.with_suffix(".py"), config_text(stock_config(cfg, names)))
    except BaseException:  # Ctrl-C too: half an export is none
        with suppress(OSError):
            out.unlink(missing_ok=True)
        raise
    return out, out.with_suffix(".py")


def stock_config(cfg: Config, names: Sequence[str] | None) -> Config:
    """What stock mmdet needs of a detector's config: model, classes and the test pipeline."""
    model: dict[str, Any] = cfg.copy().model
    model["backbone"].pop("init_cfg", None)  # the weights are in the file
    stock: dict[str, Any] = dict(default_scope="mmdet", model=model)
    imports = (cfg.get("custom_imports") or {}).get("imports") or []
    imports = [imports] if isinstance(imports, str) else imports
    if own := [name for name in imports if not name.startswith("crosskd_lab")]:
        stock["custom_imports"] = dict(imports=own)  # such as a backbone of the user's own
    if names:
        stock["metainfo"] = dict(classes=tuple(names))
    dataset: dict[str, Any] | None = None
    if own_data(cfg):
        size, place = cfg.data.size, {"annotations": "", "images": ""}
        known = names or cfg.data.get("classes") or ()
        dataset = split_dataset({"size": size, "classes": known, "val": place}, "val", train=False)
        if not known:  # mmdet takes its own
            del dataset["metainfo"]
    elif cfg.get("val_dataloader"):  # of mmdet's own schedule
        dataset = {"ann_file": "", "data_prefix": dict(img=""), "test_mode": True}
        dataset["metainfo"] = stock.get("metainfo")
        dataset["pipeline"] = innermost(cfg.val_dataloader.dataset).pipeline
    if dataset is not None:
        dataset["type"] = "CocoDataset"
        stock["test_dataloader"] = dict(batch_size=1, dataset=dataset)
    return Config(stock)
