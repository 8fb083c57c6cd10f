"""Finding and reading config files, ours and mmdet's, and the checkpoints that they name."""

import ast
import keyword
import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config, config
from mmengine.utils import get_installed_path

from .errors import LabError, tell_once
from .files import PROJECT, kept_path

# For every `mmdet::` base mmengine would look through all that is installed and read mmdet's
# hundred model cards, whose names it never finds among them, before it takes the file of that name.
config.is_installed = cache(config.is_installed)
config._get_external_cfg_path = config._get_external_cfg_base_path

CONFIGS, TEACHERS = PROJECT / "configs", PROJECT / "data" / "teachers"
RANDOM = "random"
"""The checkpoint name by which a config asks for an untrained teacher on purpose."""

ZOO = "https://download.openmmlab.com/mmdetection/v2.0"
PUBLIC = {
    "gfl_r101": f"{ZOO}/gfl/gfl_r101_fpn_mstrain_2x_coco/"
    "gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
    "gfl_r50": f"{ZOO}/gfl/gfl_r50_fpn_1x_coco/gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth",
    "retinanet_r101": f"{ZOO}/retinanet/retinanet_r101_fpn_2x_coco/"
    "retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth",
    "retinanet_r50": f"{ZOO}/retinanet/retinanet_r50_fpn_1x_coco/"
    "retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth",
    "fcos_r101": f"{ZOO}/fcos/fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/"
    "fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth",
    "atss_r101": f"{ZOO}/atss/atss_r101_fpn_1x_coco/atss_r101_fpn_1x_20200825-dfcadd6f.pth",
}
"""Name to address, as MMDetection's metafiles give it. A file's name ends in the first eight digits
of its SHA-256."""


def read_config(name: str | Path) -> Config:
    """The config file that ``name`` stands for, not yet completed; LabError names the nearest."""
    path = find_config(name)
    try:
        cfg = Config.fromfile(path)
    except (Exception, SystemExit) as error:
        said = "it ends the program" if isinstance(error, SystemExit) else error
        raise LabError(f"config {path} cannot be read: {said}") from error
    _check_numbers(cfg.to_dict(), f"config {path}")
    return cfg


def _check_numbers(value: Any, where: str) -> None:
    """Raise LabError for an integer beyond 64 bits anywhere in a value, with the way to it."""
    if isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(inner, f"{where}, {key}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise LabError(f"{where} has more than 64 bits: give a number that can be meant")


def config_text(cfg: Config) -> str:
    """A config as a file that is data: read again, it gives these values, and nothing runs.

    mmengine's ``pretty_text`` leaves its templates (``{{...}}``) in names and paths and dict keys
    unquoted; reading such a file again replaces the first and runs the second. LabError for a value
    that Python has no literal for, such as an infinite number.
    """
    lines = []
    for key, value in sorted(cfg.to_dict().items()):
        text = pformat(value, width=100)
        try:
            same = ast.literal_eval(text) == value
        except (ValueError, SyntaxError):
            same = False
        if not same or not key.isidentifier() or keyword.iskeyword(key):
            raise LabError(
                f"the config's {key} cannot be written down: give it finite numbers, text, and "
                "lists and dicts of them"
            )
        lines.append(f"{key} = {text}\n")
    return "".join(lines).replace("{{", r"{\x7b")  # two braces stand in texts alone


class PlainConfig(Config):
    """A config that mmengine too writes down as data, into checkpoints and logs."""

    @property
    def pretty_text(self) -> str:
        """See :func:`config_text`."""
        return config_text(self)


def find_config(name: str | Path) -> str:
    """Path of a config: a file here or in the project, or a name in ``configs/`` or ``mmdet::``."""
    name = str(name)
    if name.startswith("mmdet::"):
        return str(Path(get_installed_path("mmdet")) / ".mim" / "configs" / name[7:])
    for path in (Path(name), CONFIGS / name, CONFIGS / f"{name}.py", PROJECT / name):
        for file in (path / "config.py", path):
            if os.path.isfile(file):  # False also for names that no file can have
                return str(file)
    known = [p.relative_to(CONFIGS).with_suffix("").as_posix() for p in CONFIGS.rglob("*.py")]
    known = [each for each in known if "/parts/" not in each]
    nearest = ", ".join(get_close_matches(name[:100], known, n=5, cutoff=0))
    raise LabError(
        f"there is no config {name!r}; the nearest of {len(known)} are {nearest}; "
        "'crosskd-lab recipes' lists the paper's, or give a file"
    )


def kept_name(name: str) -> str:
    """The name of a config, or the path of one's file or of a run's folder as it can be kept."""
    files = (name, os.path.join(name, "config.py"))
    return kept_path(name) if any(map(os.path.isfile, files)) else name


def teacher_file(name: str) -> str:
    """File of a teacher: a path, the name of one in ``data/teachers``, or that of a public one.

    LabError where it is not here; a public teacher is fetched only when asked for.
    """
    if name == RANDOM or os.path.isfile(name):
        return name
    public = name if name in PUBLIC else next((k for k, v in PUBLIC.items() if v == name), None)
    if public:
        if (kept := local_file(public)).is_file():
            return str(kept)
        raise LabError(f"teacher {public} is not here yet: crosskd-lab teachers get {public}")
    path = TEACHERS / f"{name}.safetensors"
    if not os.path.isfile(path):
        if (stem := Path(name).stem) in PUBLIC:
            raise LabError(f"there is no {name!r}: crosskd-lab teachers get {stem} fetches one")
        known = listed(teachers())
        raise LabError(f"there is no teacher {name!r}: give a checkpoint file or one of: {known}")
    return str(path)


def teachers() -> list[str]:
    """Names of the trained teachers that are shipped in data/teachers."""
    files = TEACHERS.glob("*.safetensors")
    return sorted(path.stem for path in files if path.with_suffix("").is_dir())


def listed(names: list[str]) -> str:
    """Names in one line; "none" for an empty list."""
    return ", ".join(names) or "none"


def local_file(name: str, folder: str | Path = TEACHERS) -> Path:
    """Where the public teacher ``name`` is kept once it has been fetched; LabError for another."""
    if name not in PUBLIC:
        raise LabError(f"there is no public teacher {name!r}: choose from {', '.join(PUBLIC)}")
    return Path(folder) / PUBLIC[name].rsplit("/", 1)[1]


def with_student(cfg: Config) -> Config:
    """The config of an experiment's student with the experiment's entries laid over it; any other
    as it is. LabError where there is no model.
    """
    student = cfg
    if "student" in cfg:
        student = read_config(cfg.student)
        lines = {k for k, v in cfg.items() if isinstance(v, type)}  # the config's import lines
        left_out = {"student", "settings", "paper", "custom_imports", *lines}
        import_too(student, cfg)
        student.merge_from_dict({k: v for k, v in cfg.items() if k not in left_out})
        student.merge_from_dict(dict(cfg.get("settings", {})))
    if not isinstance(model := student.get("model"), dict) or "type" not in model:
        raise LabError(
            f"{student.filename} names no detector: give model = dict(type=...), or a student"
        )
    return student


def import_too(cfg: Config, *others: Any) -> None:
    """Have a config also import the modules that ``others`` do, so that it stands alone."""
    named = [one.get("custom_imports") or {} for one in (cfg, *others)]
    lists = [[n] if isinstance(n, str) else n for n in (one.get("imports") or [] for one in named)]
    modules = dict.fromkeys(name for names in lists for name in names)
    if modules:
        plain = dict(imports=list(modules), allow_failed_imports=False)
        cfg.custom_imports = {**plain, **named[0], "imports": list(modules)}


def set_classes(model: Any, count: int) -> None:
    """Give every part of a ``model`` dict that scores classes so many, the background left out.

    The model may be dense, two-stage, cascaded or DETR-like; LabError where no part scores boxes.
    """
    found = scorers(model)
    if not found:
        raise LabError(f"{model.get('type')} has no head that scores the classes of boxes")
    before = found[0].get("num_classes")
    for part in found:
        part["num_classes"] = count
    if before is not None:  # heads of masks, and teachers or assistants beside the detector
        _recount(model, before, count)
    limits = model.get("test_cfg") or {}
    most = model.get("num_queries", 0) * count
    if 0 < most < limits.get("max_per_img", 0):
        tell_once(f"{most} detections an image, for there are no more queries x classes")
        limits["max_per_img"] = most


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
    cfg = with_student(cfg).copy()
    if cfg.model.type == "Distiller":
        cfg.model = cfg.model.student
    return cfg
