"""Class names: where a config or a checkpoint has them, and how two lists of them match.

Everything goes by name: a detector's channels are in the order of its own classes, and ids or the
order of a file's categories mean nothing. Names that read alike are one name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .configs import RANDOM, innermost, read_config, scorers
from .errors import LabError
from .files import one_spelling
from .stack.checkpoints import load_from_local


def class_names(cfg: Config) -> list[str] | None:
    """The names of the classes that a config's detector scores, in the order of its channels.

    They stand in ``data.classes`` of our configs and in ``metainfo`` of mmdet's sets, the training
    set's first. Where none says anything, the training set's kind does (COCO's eighty), if it has
    as many as the detector. None where nobody says.
    """
    loaders = [cfg.get(f"{split}_dataloader") or {} for split in ("train", "val", "test")]
    train, *others = [innermost(loader.get("dataset", {})) for loader in loaders]
    places = [cfg.get("data"), train.get("metainfo"), cfg.get("metainfo")]
    places += [other.get("metainfo") for other in others]
    if named := next(filter(None, map(noted_classes, places)), None):
        return named
    if "type" not in train or not cfg.get("model"):
        return None
    counts = [head.get("num_classes") for head in scorers(cfg.model)]
    return _of_kind(train["type"], counts[0]) if counts else None


def trained_classes(cfg: Config, checkpoint: str | Path) -> list[str] | None:
    """The names of the classes that a trained detector scores; an untrained one ("random") has
    none.

    Its file knows them where mmdet or we wrote it, whatever its suffix; else the config beside the
    file, of a run or of a shipped teacher; else ``cfg``, the config that builds it.
    """
    path = Path(checkpoint)
    if checkpoint == RANDOM or not path.is_file():
        return None
    held = load_from_local(path, "cpu")
    meta = held.get("meta")
    dataset = meta.get("dataset_meta") if isinstance(meta, Mapping) else None
    noted = next(filter(None, map(noted_classes, (dataset, meta))), None)
    beside = [folder / "config.py" for folder in (path.with_suffix(""), path.parent)]
    return noted or class_names(next((read_config(file) for file in beside if file.is_file()), cfg))


def match_classes(student: Sequence[str], teacher: Sequence[str]) -> list[int] | None:
    """Where each of the student's classes stands among the teacher's; None if they are in one
    order.

    LabError where one has a class that the other lacks, listing those of each.
    """
    student, teacher = ([one_spelling(name) for name in names] for names in (student, teacher))
    ours = [name for name in student if name not in teacher]
    theirs = [name for name in teacher if name not in student]
    if ours or theirs:
        raise LabError(
            f"student and teacher know other classes: only the student has {listed(ours)}; only "
            f"the teacher has {listed(theirs)}: choose a teacher of the student's classes or "
            "train one on this data; if only the names differ, say teacher=dict(classes=[...])"
        )
    order = [teacher.index(name) for name in student]
    return None if order == sorted(order) else order


def category_ids(
    classes: Sequence[str], document: Mapping[str, Any], file: str | Path
) -> list[int | None]:
    """The id that each of a detector's classes has in an annotation file; None where it lacks one.

    ``document`` is the content of ``file``. LabError for a name used twice, or where it
    has objects of other classes, which would count for nothing in training and as missed in
    evaluation.
    """
    classes = [one_spelling(name) for name in classes]
    named = [one_spelling(each["name"]) for each in document["categories"]]
    for who, names in (("the detector", classes), (file, named)):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise LabError(f"{who} has several classes named {listed(twice)}: rename all but one")
    ids = dict(zip(named, (each["id"] for each in document["categories"]), strict=True))
    boxes = Counter(box["category_id"] for box in document["annotations"] if not box.get("iscrowd"))
    foreign = [name for name, key in ids.items() if boxes[key] and name not in classes]
    if foreign:
        raise LabError(
            f"{file} has {sum(boxes[ids[name]] for name in foreign)} boxes of classes that the "
            f"detector does not know: {listed(foreign)}; it knows {listed(classes)}: spell the "
            "same classes alike in all files, or leave the others out"
        )
    return [ids.get(name) for name in classes]


def noted_classes(meta: Any) -> list[str] | None:
    """The class names in what mmdet 2, mmdet 3 or a safetensors file call their meta data."""
    if not isinstance(meta, Mapping):
        return None
    found = meta.get("classes") or meta.get("CLASSES")
    if isinstance(found, str):  # one class alone, or a list without its brackets
        found = found.split(",")
    return [one_spelling(str(n)) for n in found] if isinstance(found, (list, tuple)) else None


def _of_kind(kind: str, count: int | None) -> list[str] | None:
    """The classes that a dataset class of mmdet brings along, if there are ``count``."""
    import mmdet.datasets  # noqa: F401  (registers them)
    from mmdet.registry import DATASETS

    found = DATASETS.get(kind)
    names = (getattr(found, "METAINFO", None) or {}).get("classes")
    return list(names) if names and len(names) == count else None


def listed(names: Sequence[str], count: int = 12) -> str:
    """The first names in words, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more if names else "none of its own"
