"""Students for a lesson: briefly trained from the shared start, or taken from your own race."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from IPython.utils.capture import capture_output
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ..configs import teachers
from ..data.scene_sets import data_checksum, write_scenes
from ..distiller import Distiller
from ..engine.config import load_experiment
from ..engine.evaluate import find_saved
from ..engine.record import read_record
from ..engine.train import prepare_engine, quiet
from ..errors import LabError, one_of
from ..files import PROJECT
from ..methods.base import Method
from ..pair import Pair, load_in_full
from ..runs.race import TEACHER, race_scenes


class Effort(NamedTuple):
    """Of a lesson at a scale: steps of a student, images a step, images that it is looked at on."""

    steps: int
    batch: int
    images: int


EFFORTS = {"smoke": Effort(4, 4, 8), "cpu": Effort(60, 16, 64), "gpu": Effort(600, 16, 256)}


@dataclass(frozen=True)
class Student:
    """A student beside its teacher, both in evaluation mode; the experiment that made it, and where
    its weights come from, in words. ``name`` is its method's, "none" without one."""

    name: str
    pair: Pair
    config: Config
    origin: str


@dataclass(frozen=True)
class Held:
    """A student beside its teacher, and the held-out images that its losses are taken on: batches
    of ``inputs`` and ``data_samples``, eight images each."""

    pair: Pair
    batches: list[dict[str, Any]]
    origin: str

    def singles(self) -> list[dict[str, Any]]:
        """The images one by one, those without boxes left out."""
        parts = [part for batch in self.batches for part in _split(batch, 1)]
        return [part for part in parts if len(part["data_samples"][0].gt_instances)]


def hold(
    scale: str, student: str = "none", data: str | Path | None = None, teacher: str = TEACHER
) -> Held:
    """A student from your race, or trained briefly now, and held-out images.

    ``scale`` says how long, and how many images; ``student`` what it learnt by ("none", "kd" ...).
    The rest is as for :func:`train_student`.
    """
    race = None if scale == "smoke" or teacher != TEACHER else PROJECT / "runs" / "race"
    made = train_student(student, scale, data, teacher, race)
    batch = held_out(made, effort(scale).images)
    return Held(made.pair, _split(batch, 8), made.origin)


def effort(scale: str) -> Effort:
    """How much to train at a scale; LabError for one that is none of smoke, cpu, gpu."""
    one_of("scale", scale, EFFORTS)
    return EFFORTS[scale]


def lesson_scenes(scale: str) -> Path:
    """The scenes of a lesson, drawn if they are not there yet: the race's own, or a tiny set."""
    effort(scale)
    if scale != "smoke":
        return race_scenes()
    return write_scenes(PROJECT / "data" / "cache" / "smoke_scenes", 160, 24, 16)


def real_set(name: str) -> Path | None:
    """A folder of photographs in COCO format below the one that ``CROSSKD_REAL_DATA`` names; None,
    and a line that says so, where there is none."""
    root = os.environ.get("CROSSKD_REAL_DATA")
    folder = Path(root) / name if root else None
    if folder is None or not folder.is_dir():
        where = "CROSSKD_REAL_DATA is not set" if folder is None else f"there is no {folder}"
        print(f"{where}: no photographs here. Set it to a folder that holds {name} in COCO format.")
        return None
    return folder


@contextmanager
def calm() -> Iterator[None]:
    """Without what the engine's packages say of each other, and bars that a page would keep."""
    quietly = capture_output(stdout=False, stderr=False, display=True)
    with warnings.catch_warnings(), quietly:
        warnings.simplefilter("ignore")
        yield


def tell(method: str, seed: int, row: dict[str, Any]) -> None:
    """Print the AP of a race's validation."""
    if row["kind"] == "val":
        print(f"{method}, seed {seed}, step {row['step']}: AP {row.get('AP', 0.0):.1f}", flush=True)


def train_student(
    method: str | Method,
    scale: str,
    data: str | Path | None = None,
    teacher: str = TEACHER,
    race: str | Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    student: str | None = None,
) -> Student:
    """A student of ``configs/pocket/<method>.py``, from your race if that is finished.

    ``method`` is "none", "kd", "crosskd" ..., or a method of your own, trained with from now;
    ``scale`` "smoke", "cpu" or "gpu"; ``data`` a COCO-format folder, by default the lesson's
    scenes; ``teacher`` a shipped teacher's name, a checkpoint or a run of the pocket GFL, or
    "random". ``race`` is the folder of a race whose ``<method>-s0`` is taken if the race is
    finished and it fits, ``steps`` how many instead of the scale's, ``student`` the config of the
    student beside a method of your own. LabError for an unknown method or scale, and what building
    a pair refuses.
    """
    wanted = effort(scale)
    name = method if isinstance(method, str) else type(method).__name__
    model, cfg = begin(method, scale, data, teacher, seed, student)
    origin = None
    if race and data is None:
        origin = _from_race(model, Path(race) / f"{name}-s0", Path(cfg.data.root))
    if origin is None:
        _train(model, cfg, steps or wanted.steps, name)
        origin = f"{steps or wanted.steps} steps of {wanted.batch} images, just now"
    model.eval()
    return Student(name, model.pair, cfg, origin)


def begin(
    method: str | Method,
    scale: str,
    data: str | Path | None = None,
    teacher: str = TEACHER,
    seed: int = 0,
    student: str | None = None,
) -> tuple[Distiller, Config]:
    """A student before its first step, and its experiment; arguments as :func:`train_student`.

    The start is the same for every method.
    """
    wanted = effort(scale)
    own = method if isinstance(method, Method) else None
    prepare_engine()
    init_default_scope("mmdet")
    checkpoint = str(find_saved(teacher).checkpoint) if Path(teacher).is_dir() else teacher
    settings = {"teacher.checkpoint": checkpoint, "schedule.batch": wanted.batch}
    if teacher in teachers():  # of any kind of head
        settings["teacher.config"] = f"pocket/{teacher}"
    if student is not None:
        settings["student"] = student
    with quiet():
        config = f"pocket/{'none' if own else method}"
        cfg = load_experiment(config, settings, data or lesson_scenes(scale), seed)
        torch.manual_seed(cfg.randomness.seed)
        model = MODELS.build(cfg.model)
        model.init_weights()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if own is not None:
        own.attach(model.pair.student_head, model.pair.teacher_head)
        model.methods.append(own.to(model.pair.student.data_preprocessor.device))
    return model, cfg


def loader(cfg: Config) -> Any:
    """An experiment's training batches, in the order that its seed gives them."""
    with quiet():
        return Runner.build_dataloader(cfg.train_dataloader, seed=cfg.randomness.seed)


def held_out(student: Student, count: int = 8) -> dict[str, Any]:
    """The first ``count`` held-out images as the detectors get them: mmdet's ``data_samples``, and
    ``inputs`` ``(count, 3, H, W)``, normalised and padded.
    """
    dataset = DATASETS.build(student.config.val_dataloader.dataset)
    samples = [dataset[i] for i in range(min(count, len(dataset)))]
    return student.pair.student.data_preprocessor(pseudo_collate(samples))


def _train(model: Distiller, cfg: Config, steps: int, name: str) -> None:
    """Train for a few steps, with three lines of progress."""
    with quiet():
        optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()
    for step, data in enumerate(islice(loader(cfg), steps), 1):
        for group in optimiser.param_groups:  # warm up over the first third, as real runs do
            group["lr"] = cfg.schedule.lr * min(1.0, 3 * step / steps)
        losses = model.train_step(data, optimiser)
        if step == steps or step % max(1, steps // 3) == 0:
            loss = losses["loss"].item()
            print(f"{name}: step {step} of {steps}, loss {loss:.2f}", flush=True)


def _from_race(model: Distiller, folder: Path, scenes: Path) -> str | None:
    """Load the last checkpoint of a finished race's run; None where there is none that fits.

    It fits if the race had this teacher, and the race's own scenes or these. Of a race that still
    runs nothing is taken: its students would have trained unequally long.
    """
    kept = sorted(folder.glob("iter_*.pth"), key=lambda path: int(path.stem[5:]))
    if not kept or not (folder.parent / "race.csv").is_file():  # written when all are done
        return None
    ours = [place for place in (scenes, PROJECT / "data" / "race_scenes") if place.is_dir()]
    try:
        said, teacher = read_record(folder), model.pair.teacher_id["sha256"] or "random"
        same_data = said["data"]["checksum"] in map(data_checksum, ours)
        if said["teacher"]["sha256"] != teacher or not same_data:
            return None
        load_in_full(model, kept[-1])
    except LabError:  # a race of another student, or no record
        return None
    return f"your race, run {folder.name}, {kept[-1].stem[5:]} steps"


def _split(batch: dict[str, Any], size: int) -> list[dict[str, Any]]:
    samples = batch["data_samples"]
    return [
        {"inputs": batch["inputs"][k : k + size], "data_samples": samples[k : k + size]}
        for k in range(0, len(samples), size)
    ]
