"""A run's detector as files that stock mmdet opens: weights, and the config that builds it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..classes import trained_classes
from ..configs import config_text, detector_of, read_config
from ..errors import LabError
from ..files import sole_writer, write_whole
from ..pair import build_detector, load_in_full
from ..stack.checkpoints import save_weights
from .evaluate import find_saved
from .schedule import split_dataset
from .train import prepare_engine, quiet

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
    if names and "data" in cfg:
        stock["metainfo"] = dict(classes=tuple(names))
        place = {"annotations": "", "images": ""}
        data = {"size": cfg.data.size, "classes": names, "val": place}
        dataset = split_dataset(data, "val", train=False) | {"type": "CocoDataset"}
        stock["test_dataloader"] = dict(batch_size=1, dataset=dataset)
    return Config(stock)
