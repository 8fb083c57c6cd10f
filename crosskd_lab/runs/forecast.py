"""Hours, memory and cost of a recipe on more GPUs than are here, from one measured step.

``docs/plan.md`` has the model, what it takes for granted, and how it was held against a run.
"""

from __future__ import annotations

import io
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from tqdm import trange

from ..configs import RANDOM, innermost, read_config, scorers
from ..engine.config import load_experiment
from ..engine.provenance import machine
from ..engine.train import choose_form, prepare_engine, quiet, settle
from ..errors import LabError

WARM_UP, TIMED_STEPS = 2, 5
OBJECTS = 7  # an image: COCO's mean is 7.3
COCO_IMAGES = 117_266
"""Of COCO's 118,287 training images, those with a box: the paper's epoch."""
FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes of DistributedDataParallel's first bucket, and of each that follows."""
GPUS = (1, 2, 4, 8, 16, 32, 64)
MACHINE = 8  # GPUs
INSIDE, BETWEEN = 20e9, 5e9  # bytes a second each way, in a machine and between machines
LATENCY = 1e-4  # seconds that a bucket takes beside its bytes
OVERLAP = 0.5  # share of the communication that the backward hides


@dataclass(frozen=True)
class Work:
    """What a recipe asks for: ``batch`` images a GPU at learning rate ``rate``.

    ``base_batch`` is the images a step that the rate is for, None where it does not follow the
    batch. The length is ``epochs`` of ``images``, or ``steps`` whatever the batch.
    """

    batch: int
    rate: float
    base_batch: int | None = None
    images: int | None = None
    epochs: int | None = None
    steps: int | None = None

    def length(self, gpus: int) -> int:
        """Steps of the whole run: the last of an epoch may be a smaller batch."""
        if self.steps:
            return self.steps
        return int(self.epochs or 0) * math.ceil(int(self.images or 0) / (self.batch * gpus))

    def rate_at(self, gpus: int) -> float:
        """The learning rate at that batch, by the linear rule of auto_scale_lr."""
        return self.rate * (self.batch * gpus / self.base_batch if self.base_batch else 1)


@dataclass(frozen=True)
class Measurement:
    """A step on one ``device``: forward, backward and optimiser, on images that are there already.

    ``step`` and its ``backward`` are seconds, medians; ``gradient`` is the bytes of the gradients;
    ``memory`` the most bytes that torch had allocated on a GPU, None on a CPU; ``size`` height and
    width of the images in pixels.
    """

    work: Work
    step: float
    backward: float
    gradient: int
    memory: int | None
    size: tuple[int, int]
    device: str


def ring_seconds(gradient: float, gpus: int, bandwidth: float, latency: float = LATENCY) -> float:
    """Seconds of one ring all-reduce of ``gradient`` bytes among ``gpus`` processes."""
    if gpus < 2:
        return 0.0
    buckets = 1 + max(0, math.ceil((gradient - FIRST_BUCKET) / BUCKET))
    return 2 * (gpus - 1) / gpus * gradient / bandwidth + buckets * latency


def exposed_seconds(communication: float, backward: float, overlap: float = OVERLAP) -> float:
    """Seconds of the communication that a step waits for: a backward hides no more than itself."""
    return communication - min(overlap * communication, backward)


def outlook(
    measured: Measurement,
    bandwidth: float | None = None,
    price: float | None = None,
    gpus: Sequence[int] = GPUS,
) -> pd.DataFrame:
    """One row a number of GPUs; ``price`` is of one GPU for one hour, in any currency.

    Each does the measured step on its own images and then waits for the part of the communication
    that its backward did not hide. ``bandwidth`` is of the ring's slowest link in bytes a second
    each way, by default ``INSIDE`` a machine of ``MACHINE`` and ``BETWEEN`` several. Loading
    images, validations and checkpoints are not in it.

    ``gpus, images`` (a step), ``rate`` (after auto_scale_lr), ``steps`` (of the whole run),
    ``seconds`` (a step), ``hours, gpu_hours, efficiency`` (images a second against as many single
    GPUs, 0 to 1), ``memory`` (bytes a GPU, None where unknown), and ``cost`` where there is a
    price.
    """
    work, rows = measured.work, []
    for count in gpus:
        slowest = bandwidth or (INSIDE if count <= MACHINE else BETWEEN)
        told = ring_seconds(measured.gradient, count, slowest)
        seconds = measured.step + exposed_seconds(told, measured.backward)
        row: dict[str, Any] = {
            "gpus": count,
            "images": work.batch * count,
            "rate": work.rate_at(count),
        }
        row |= {"steps": work.length(count), "seconds": seconds}
        row["hours"] = row["steps"] * seconds / 3600
        row |= {"gpu_hours": row["hours"] * count, "efficiency": measured.step / seconds}
        # among several, the gradients lie in the buckets once more
        copies = measured.gradient if count > 1 else 0
        row["memory"] = None if measured.memory is None else measured.memory + copies
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame if price is None else frame.assign(cost=frame["gpu_hours"] * price)


def planned_config(
    recipe: str, settings: Mapping[str, Any] | None = None, data: str | Path | None = None
) -> Config:
    """The completed config, its teacher an untrained one: none has to be on this machine."""
    prepare_engine()
    changed = dict(settings or {})
    if "teacher" in read_config(recipe):
        changed["teacher.checkpoint"] = RANDOM
    return load_experiment(recipe, changed, data)


def find_work(cfg: Config) -> Work:
    """What a completed config asks for; LabError where the length of an epoch is not known."""
    loader, loop = cfg.train_dataloader, cfg.train_cfg
    rate = float(cfg.optim_wrapper.optimizer.lr)
    work = Work(int(loader.batch_size), rate, cfg.get("auto_scale_lr", {}).get("base_batch_size"))
    if loop.get("max_iters"):
        return replace(work, steps=int(loop.max_iters))
    return replace(work, epochs=int(loop.max_epochs), images=_count_images(loader.dataset))


def _count_images(dataset: Mapping[str, Any]) -> int:
    """Images of a training set's config that have something to learn from."""
    inner = innermost(dataset)
    file = Path(inner.get("data_root") or "") / inner["ann_file"]
    if file.is_file():
        with quiet(), redirect_stdout(io.StringIO()), DefaultScope.overwrite_default_scope("mmdet"):
            return len(DATASETS.build(dict(dataset)))
    if file.name == "instances_train2017.json":
        return COCO_IMAGES
    raise LabError(
        f"there is no {file}, so the length of an epoch is not known: name the set with --data"
    )


def image_size(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels of a planned image: 4 to 3, as large as the recipe's scale allows.

    A square scale gives a square; both sides are padded as the recipe pads them.
    """
    scales = _scales(cfg.train_dataloader)
    if not scales:
        raise LabError("the recipe's pipeline names no scale, so the size of its images is unknown")
    short, long = max(sorted(scale) for scale in scales)
    if short != long:
        factor = min(long / 4, short / 3)
        short, long = round(3 * factor), round(4 * factor)
    student = cfg.model.get("student", cfg.model)
    pad = int((student.get("data_preprocessor") or {}).get("pad_size_divisor") or 1)
    height, width = (-(-side // pad) * pad for side in (short, long))
    return height, width


def _scales(node: Any) -> list[tuple[int, int]]:
    """Every (width, height) that a pipeline may resize to."""
    if isinstance(node, Mapping):
        own = [node[key] for key in ("scale", "scales") if key in node]
        found = [s for each in own for s in (each if isinstance(each, list) else [each])]
        inner = [value for key, value in node.items() if key not in ("scale", "scales")]
        return [tuple(s) for s in found if isinstance(s, (tuple, list))] + _scales(inner)
    return [s for part in node for s in _scales(part)] if isinstance(node, (list, tuple)) else []


def measure(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    steps: int = TIMED_STEPS,
) -> Measurement:
    """Time forward, backward and optimiser at the recipe's batch a GPU and image size.

    Student and teacher have random weights: it is the time that counts. ``data`` is a COCO-format
    folder for the number of its images only; ``steps`` are measured after two to warm up. LabError
    for what :func:`crosskd_lab.engine.config.load_experiment` refuses, where the length of an epoch
    cannot be known, and where a GPU is too small.
    """
    cfg = planned_config(recipe, settings, data)
    work, gpu = find_work(cfg), torch.cuda.is_available()
    model, optimiser, batch = ready_to_step(cfg)
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        with trange(WARM_UP + steps, desc="measuring", leave=False, disable=None) as turns:
            times = [timed_step(model, batch, optimiser) for _ in turns][WARM_UP:]
    except torch.OutOfMemoryError as error:
        raise LabError(
            f"{recipe} does not fit this GPU with {work.batch} images: plan fewer, such as "
            "--set schedule.batch=1 (train_dataloader.batch_size=1 for the paper's), or measure "
            "on a larger one"
        ) from error
    return Measurement(
        work,
        step=statistics.median(whole for whole, _ in times),
        backward=statistics.median(backward for _, backward in times),
        gradient=sum(p.nbytes for p in model.parameters() if p.requires_grad),
        memory=torch.cuda.max_memory_allocated() if gpu else None,
        size=image_size(cfg),
        device=torch.cuda.get_device_name() if gpu else str(machine()["cpu"]),
    )


def ready_to_step(cfg: Config) -> tuple[Any, Any, dict[str, Any]]:
    """The model of a completed config with random weights, its optimiser, and a made-up batch."""
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(_without_downloads(cfg.model))
        model.init_weights()
        settle(model).train()
        choose_form(model, cfg)
        optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
    classes = int(scorers(cfg.model.get("student", cfg.model))[0].num_classes)
    count = int(cfg.train_dataloader.batch_size)
    return model, optimiser, made_up_batch(count, *image_size(cfg), classes)


def _without_downloads(model: Any) -> Any:
    if isinstance(model, Mapping):
        kept = ConfigDict({key: _without_downloads(value) for key, value in model.items()})
        if "checkpoint" in (kept.get("init_cfg") or {}):
            kept.init_cfg = None
        return kept
    return [_without_downloads(part) for part in model] if isinstance(model, list) else model


def made_up_batch(count: int, height: int, width: int, classes: int) -> dict[str, Any]:
    """A raw batch as mmdet's pipeline hands it over: ``count`` images of noise, with seven boxes
    each whose labels are drawn from ``classes``; height and width in pixels."""
    generator = torch.Generator().manual_seed(0)
    sides = torch.tensor([width, height, width, height])
    shape = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
    images, samples = [], []
    for _ in range(count):
        near = 0.6 * torch.rand(OBJECTS, 2, generator=generator)
        far = near + 0.05 + 0.35 * torch.rand(OBJECTS, 2, generator=generator)
        labels = torch.randint(classes, (OBJECTS,), generator=generator)
        sample = DetDataSample(metainfo=dict(shape))
        sample.gt_instances = InstanceData(bboxes=torch.cat([near, far], 1) * sides, labels=labels)
        samples.append(sample)
        noise = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
        images.append(noise)
    return {"inputs": images, "data_samples": samples}


def timed_step(model: Any, batch: dict, optimiser: Any) -> tuple[float, float]:
    """Seconds of a step (forward, backward, optimiser), and of its backward."""
    bare = getattr(model, "module", model)
    began = _now()
    with optimiser.optim_context(model):
        losses = model(**bare.data_preprocessor(batch, True), mode="loss")
        loss, _ = bare.parse_losses(losses)
    forward = _now()
    optimiser.backward(loss)
    backward = _now()
    optimiser.step()
    optimiser.zero_grad()
    return _now() - began, backward - forward


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
