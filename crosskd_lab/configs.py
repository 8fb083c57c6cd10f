"""Finding and reading config files, ours and mmdet's, and the checkpoints that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import get_installed_path

from .errors import LabError
from .fetch.teachers import TEACHERS as PUBLIC
from .fetch.teachers import local_file
from .files import PROJECT

CONFIGS, TEACHERS = PROJECT / "configs", PROJECT / "data" / "teachers"
RANDOM = "random"
"""The checkpoint name by which a config asks for an untrained teacher on purpose."""


def read_config(name: str | Path) -> Config:
    """The config file that ``name`` stands for, read and not yet completed.

    Raises:
        LabError: if there is none, listing what there is.
    """
    path = find_config(name)
    try:
        return Config.fromfile(path)
    except LabError:
        raise
    except Exception as error:
        raise LabError(f"config {path} cannot be read: {error}") from error


def find_config(name: str | Path) -> str:
    """Path of a config: an existing file, a name below ``configs/``, or an ``mmdet::`` name."""
    if str(name).startswith("mmdet::"):
        return str(Path(get_installed_path("mmdet")) / ".mim" / "configs" / str(name)[7:])
    for path in (Path(name), CONFIGS / name, CONFIGS / f"{name}.py"):
        if path.is_dir() and (path / "config.py").is_file():
            return str(path / "config.py")
        if path.is_file():
            return str(path)
    known = sorted(str(p.relative_to(CONFIGS).with_suffix("")) for p in CONFIGS.rglob("*.py"))
    raise LabError(f"there is no config {name!r}; there are: {', '.join(known)}, or give a file")


def teacher_file(name: str) -> str:
    """File of a teacher: a path, the name of one in ``data/teachers``, or that of a public one.

    Raises:
        LabError: if it is not here; a public teacher is fetched only when asked for.
    """
    if name == RANDOM or Path(name).is_file():
        return name
    public = name if name in PUBLIC else next((k for k, v in PUBLIC.items() if v == name), None)
    if public:
        if (kept := local_file(public)).is_file():
            return str(kept)
        raise LabError(f"teacher {public} is not here yet: crosskd-lab teachers get {public}")
    path = TEACHERS / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in TEACHERS.glob("*.safetensors"))) or "none"
        raise LabError(f"there is no teacher {name!r}: give a checkpoint file or one of: {known}")
    return str(path)


def with_student(cfg: Config) -> Config:
    """The config of an experiment's student with the experiment's entries laid over it."""
    student = read_config(cfg.student)
    imported = {k for k, v in cfg.items() if isinstance(v, type)}  # the config's import lines
    left_out = {"student", "settings", "paper", *imported}
    student.merge_from_dict({k: v for k, v in cfg.items() if k not in left_out})
    student.merge_from_dict(dict(cfg.get("settings", {})))
    return student


def set_classes(model: Any, count: int) -> None:
    """Give every part of a ``model`` dict that scores classes this many of them.

    Args:
        model: Of a dense, two-stage, cascaded or DETR-like detector.
        count: K, the background left out.

    Raises:
        LabError: if no part of the model scores the classes of boxes.
    """
    found = scorers(model)
    if not found:
        raise LabError(f"{model.get('type')} has no head that scores the classes of boxes")
    before = found[0].get("num_classes")
    for part in found:
        part["num_classes"] = count
    if before is not None:  # heads of masks, and teachers or assistants beside the detector
        _recount(model, before, count)


def scorers(model: Any) -> list[Any]:
    """The parts of a ``model`` dict that score the classes of boxes, one a stage of a cascade."""
    head = (model.get("roi_head") or model).get("bbox_head") or []
    return list(head) if isinstance(head, (list, tuple)) else [head]


def innermost(dataset: Any) -> Any:
    """The dict of the set inside a ``dataset`` dict that repeats, mixes or joins sets."""
    while "dataset" in dataset or "datasets" in dataset:
        dataset = dataset["dataset"] if "dataset" in dataset else dataset["datasets"][0]
    return dataset


def _recount(part: Any, before: int, count: int) -> None:
    if isinstance(part, (list, tuple)):
        for one in part:
            _recount(one, before, count)
    elif isinstance(part, dict):
        if part.get("num_classes") == before:
            part["num_classes"] = count
        for name, inner in part.items():
            if name != "rpn_head":  # tells objects from background, whatever their class
                _recount(inner, before, count)


def detector_of(cfg: Config) -> Config:
    """A config whose ``model`` is the stock detector that ``cfg`` trains: the student, if any."""
    cfg = with_student(cfg) if "student" in cfg else cfg.copy()
    if cfg.model.type == "Distiller":
        cfg.model = cfg.model.student
    return cfg
