"""Class names: where a config or a checkpoint has them, and how two lists of them match."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from .configs import RANDOM, read_config
from .errors import LabError
from .stack.checkpoints import load_from_local


def class_names(cfg: Config) -> list[str] | None:
    """The names of the classes that a config's detector scores, in the order of its channels.

    They stand in ``data.classes`` of our configs and in ``metainfo`` of mmdet's training sets.
    Where a training set says nothing, its kind does (COCO's eighty), if it has as many as the
    detector. None where nobody says.
    """
    named = cfg.get("data", {}).get("classes")
    dataset = cfg.get("train_dataloader", {}).get("dataset", {})
    while "dataset" in dataset:  # repeated or mixed
        dataset = dataset["dataset"]
    named = named or dataset.get("metainfo", {}).get("classes")
    if not named and dataset.get("type"):
        named = _of_kind(dataset["type"], cfg.model.get("bbox_head", {}).get("num_classes"))
    return list(named) if named else None


def teacher_classes(cfg: Config, checkpoint: str | Path) -> list[str] | None:
    """The names of the classes that a trained teacher scores.

    Its file knows them where mmengine wrote it; else the config beside the file, of a run or of a
    shipped teacher; else the config that builds it. An untrained teacher has none.

    Args:
        cfg: The config that builds the teacher.
        checkpoint: Its file, or "random".
    """
    path = Path(checkpoint)
    if checkpoint == RANDOM or not path.is_file():
        return None
    if path.suffix == ".pth":
        meta = load_from_local(path, "cpu").get("meta") or {}
        noted = (meta.get("dataset_meta") or {}).get("classes") or meta.get("CLASSES")
        if noted:
            return list(noted)
    beside = [folder / "config.py" for folder in (path.with_suffix(""), path.parent)]
    return class_names(next((read_config(file) for file in beside if file.is_file()), cfg))


def match_classes(student: Sequence[str], teacher: Sequence[str]) -> list[int] | None:
    """Where the student's classes stand among the teacher's.

    Returns:
        For every class of the student its index in the teacher; None if they are in one order.

    Raises:
        LabError: if one has a class that the other lacks, listing those of each.
    """
    ours = [name for name in student if name not in teacher]
    theirs = [name for name in teacher if name not in student]
    if ours or theirs:
        raise LabError(
            f"student and teacher know other classes: only the student has {_listed(ours)}; only "
            f"the teacher has {_listed(theirs)}: choose a teacher of the student's classes or "
            "train one on this data; if only the names differ, say teacher=dict(classes=[...])"
        )
    order = [list(teacher).index(name) for name in student]
    return None if order == sorted(order) else order


def _of_kind(kind: str, count: int | None) -> Sequence[str] | None:
    """The classes that a dataset class of mmdet brings along, if there are ``count``."""
    import mmdet.datasets  # noqa: F401  (registers them)
    from mmdet.registry import DATASETS

    found = DATASETS.get(kind)
    names = (getattr(found, "METAINFO", None) or {}).get("classes")
    return names if names and len(names) == count else None


def _listed(names: Sequence[str], count: int = 12) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more if names else "none of its own"
