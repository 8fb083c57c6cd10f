"""From a few lines of configuration to everything that the engine needs.

An experiment names a *detector config* for its student (any mmdet config, or one of ours), a
teacher and a list of methods; all that it does not say, the student's own config decides. A
detector config alone is an experiment without a teacher. Configs that carry ``data`` and
``schedule`` (ours do) get their loaders, loops and optimiser from ``schedule``.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..classes import class_names, match_classes, noted_classes, trained_classes
from ..configs import (
    RANDOM,
    detector_of,
    import_too,
    innermost,
    read_config,
    set_classes,
    teacher_file,
    with_student,
)
from ..data.check import clean
from ..data.coco import Split, find_split, read_classes
from ..data.scene_sets import data_checksum
from ..errors import LabError
from ..files import PROJECT, here_or_in_project
from .hooks import need_checkpoint
from .schedule import engine_settings, whole
from .settings import MADE_FROM, check_applied, check_read, replace, within

ENGINE = {"custom_imports": {"imports": ["crosskd_lab.engine.train"]}}
"""What registers all that a completed config names by string."""
TOLD = 20
"""So many of the records that are left out are told."""
SET_KEYS = ("pipeline", "filter_cfg", "test_mode", "backend_args", "return_classes")
"""What a set of another folder keeps of the one whose place it takes."""


def load_experiment(
    name: str | Path,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    seed: int | None = None,
    skip_bad: bool = False,
) -> Config:
    """Read an experiment and complete it: a config from which ``train`` can start.

    ``name`` is a config file, its path below ``configs/`` without the suffix (``pocket/crosskd``),
    or the ``config.py`` of a run. ``settings`` replace entries by dotted keys, such as
    ``methods.0.i``; ``data``, a COCO-format set, replaces the config's with its classes,
    ``skip_bad`` leaves its broken records out (and says so). ``seed`` is 0 by default, or that of a
    run whose config is named. LabError for an unknown config, key or data folder, or a
    seed below 0.
    """
    cfg, settings = read_config(name), dict(settings or {})
    check_read(settings)  # before any data is
    whole({"seed": seed or 0}, "seed", least=0)
    complete = (cfg.get("model") or {}).get("type") == "Distiller"
    if complete or (cfg.get("train_cfg") or {}).get("type") == "DrawLoop":
        if skip_bad:
            raise LabError(
                "--skip-bad is for the experiment's own config: a run's has its data in it"
            )
        return _once_more(cfg, settings, data, seed)
    if data is not None and "data.root" in settings:
        raise LabError("--data and --set data.root name two sets: give one of them")
    if _is_run(settings.get("teacher.checkpoint")):  # which brings its own config
        settings.setdefault("teacher.config", settings["teacher.checkpoint"])
    said = cfg
    replace(cfg, first := _of(settings, "student", "settings"))
    cfg = with_student(cfg)
    settings = {key: value for key, value in settings.items() if key not in first}
    replace(cfg, _of(settings, *MADE_FROM) if "schedule" in cfg else settings)
    if seed is None:  # of a config on mmdet's own schedule, or of its student's; 0 otherwise
        seed = 0 if "schedule" in cfg else (cfg.get("randomness") or {}).get("seed") or 0
    cfg.randomness = {**(cfg.get("randomness") or {}), "seed": seed}
    if "schedule" not in cfg:
        _keep_schedule(cfg, data, skip_bad)
    else:
        if data is not None:
            cfg.setdefault("data", ConfigDict(size=160)).root = str(data)
        _name_classes(cfg, skip_bad)
    if "methods" in cfg:
        _add_teacher(cfg)
    elif lost := {"teacher", "tap"} & cfg.keys():
        raise LabError(f"{min(lost)} is for methods, and the config names none: methods = [...]")
    engine = {}
    if "schedule" in cfg:
        engine = engine_settings(cfg.data, cfg.schedule, seed)
        cfg.merge_from_dict(engine)
        if "student" in said:  # what it says of the engine itself goes beyond the schedule
            cfg.merge_from_dict({key: said[key] for key in said if key in engine})
    _finish(cfg, settings, engine)
    return cfg


def _of(settings: Mapping[str, Any], *places: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if within(key, *places)}


def _finish(cfg: Config, settings: dict[str, Any], engine: dict[str, Any]) -> None:
    """Lay over what is said of entries that others were made into, and see that all holds."""
    import_too(cfg, ENGINE)
    replace(cfg, {k: v for k, v in settings.items() if not within(k, *MADE_FROM)})
    check_applied(cfg, settings, engine)


def _keep_schedule(cfg: Config, data: str | Path | None, skip_bad: bool) -> None:
    """mmdet's own loaders, epochs and optimiser, measured and logged as all of our runs are.

    ``cfg`` is a stock detector's, or an experiment with such a student (the paper's recipes). Where
    another set is named, files, classes and heads become its own.
    """
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if not cfg.get(loader):
            raise LabError(f"{cfg.filename} has neither a schedule nor mmdet's {loader}")
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    if skip_bad and data is None:
        raise LabError(
            "--skip-bad is for a set that --data names: mmdet's loaders read theirs whole"
        )
    if data is not None:
        root = here_or_in_project(data).absolute()
        train, val = (sound_split(root, split, skip_bad) for split in ("train", "val"))
        classes = read_classes(train.annotations)
        for loader, split in zip(loaders, (train, val, val), strict=True):
            take_place(loader.dataset, split, classes)
    names = class_names(cfg)
    sets = [innermost(loader.dataset) for loader in loaders]
    for dataset in sets:
        if names and dataset.type == "CocoDataset":
            dataset.type, dataset.metainfo = "NamedSet", dict(classes=tuple(names))
    if names:
        set_classes(cfg.model, len(names))
    truth = Path(sets[1].get("data_root") or "") / sets[1].ann_file
    cfg.val_evaluator = cfg.test_evaluator = ConfigDict(type="BoxAP", annotations=str(truth))


def take_place(dataset: Any, split: Split, classes: Sequence[str]) -> None:
    """Let a ``dataset`` dict of mmdet read this split, in whatever repeats or mixes it."""
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    before = innermost(dataset)
    kept = {key: before[key] for key in SET_KEYS if key in before}
    dataset.clear()
    dataset.update(
        type="NamedSet",
        ann_file=str(split.annotations),
        data_prefix=dict(img=str(split.images)),
        metainfo=dict(classes=tuple(classes)),
        **kept,
    )


def _once_more(
    cfg: Config, settings: dict[str, Any], data: str | Path | None, seed: int | None
) -> Config:
    """The completed config of a run, as it was or with other settings of its engine and model."""
    if data is not None or _of(settings, "data", "schedule"):
        raise LabError(
            f"{cfg.filename} has its data and schedule in it: name the experiment's own config for "
            "others"
        )
    replace(cfg, settings)
    if seed is not None:
        cfg.randomness = {**(cfg.get("randomness") or {}), "seed": seed}
        if cfg.train_dataloader.dataset.type == "Draws":
            cfg.train_dataloader.dataset.seed = seed
    own = "schedule" in cfg  # else mmdet's
    engine = engine_settings(cfg.data, cfg.schedule, cfg.randomness.seed) if own else {}
    _finish(cfg, settings, engine)
    return cfg


def sound_split(root: Path, split: str, skip_bad: bool) -> Split:
    """A split ("train", "val" or "test") of a set, checked, and without its bad records if they are
    to be skipped; LabError for a set that cannot be used.
    """
    found = find_split(root, split)
    files = [found.annotations, *sorted(found.images.rglob("*"))]
    states = [(file, file.stat()) for file in files if file.exists()]
    found_as = tuple((file, state.st_size, state.st_mtime_ns) for file, state in states)
    return _sound_split(root, split, skip_bad, hash(found_as))


@cache
def _sound_split(root: Path, split: str, skip_bad: bool, states: int) -> Split:
    """A split whose files are in these ``states``: a race asks for one of each of its students."""
    kept = PROJECT / "data" / "cache" / data_checksum(root)
    found = find_split(root, split)
    sound, report = clean(root, split, kept, skip_bad=skip_bad)
    for problem in report.problems[:TOLD]:
        print(f"{found.annotations}: {problem.record}: {problem.detail}")
    if (more := len(report.problems) - TOLD) > 0:
        print(f"... and {more} more: 'crosskd-lab data check {root} --skip-bad' lists all")
    if report.problems or report.repaired:
        print(report.summary())
    return sound


def _name_classes(cfg: Config, skip_bad: bool) -> None:
    """Check the set, and take the classes from its annotation file, the one place that has them."""
    root = here_or_in_project(cfg.data.root).absolute()  # the same from whatever folder
    cfg.data.root = str(root)
    for split in ("train", "val"):
        sound = sound_split(root, split, skip_bad)
        cfg.data[split] = {"annotations": str(sound.annotations), "images": str(sound.images)}
    classes = read_classes(cfg.data.train.annotations)
    cfg.data.classes = list(classes)
    set_classes(cfg.model, len(classes))


def _add_teacher(cfg: Config) -> None:
    """Wrap the student's model and the teacher into the Distiller that trains."""
    teacher = dict(cfg.pop("teacher", {}))
    if "config" not in teacher or "checkpoint" not in teacher:
        raise LabError(
            "an experiment with methods needs teacher = dict(config=..., checkpoint=...)"
        )
    built, checkpoint = detector_of(read_config(teacher["config"])), str(teacher["checkpoint"])
    checkpoint = (
        str(need_checkpoint(checkpoint)) if _is_run(checkpoint) else teacher_file(checkpoint)
    )
    ours, theirs = class_names(cfg), noted_classes(teacher) or trained_classes(built, checkpoint)
    if ours and theirs:
        match_classes(ours, theirs)  # before weights of other shapes are met
    if ours:
        set_classes(built.model, len(ours))
    import_too(cfg, built)
    teacher |= dict(config=built.model, checkpoint=checkpoint, classes=theirs)
    cfg.model = ConfigDict(
        type="Distiller",
        student=cfg.model,
        teacher=teacher,
        methods=[_by_name(method) for method in cfg.pop("methods")],
        tap=cfg.pop("tap", "post_relu"),
        classes=ours,
    )


def _is_run(checkpoint: Any) -> bool:
    return checkpoint not in (None, RANDOM) and os.path.isdir(str(checkpoint))


def _by_name(method: Any) -> dict[str, Any]:
    """A method entry with its class as a dotted name, so that the config can be written down."""
    said = method if isinstance(method, Mapping) else {"type": method}  # its class alone
    entry = {k: _by_name(v) if isinstance(v, Mapping) else v for k, v in said.items()}
    kind = entry.get("type")
    if isinstance(kind, type):
        entry["type"] = _public_name(kind)
    return entry


def _public_name(kind: type) -> str:
    """``crosskd_lab.methods.CrossKD``: where a package shows a class, in whatever file."""
    home, name = kind.__module__, kind.__qualname__
    while getattr(sys.modules.get(above := home.rpartition(".")[0]), name, None) is kind:
        home = above
    return f"{home}.{name}"
