"""Hours, memory and cost of a recipe on more GPUs than are here, from one measured step.

``docs/plan.md`` has the model, what it takes for granted, and how it was held against a run.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import LabError, tell_once
from ..files import PROJECT, read_json, write_whole

STEPS = PROJECT / "data" / "cache" / "steps"
"""Where measurements are kept."""
COCO_IMAGES = 117_266
"""Of COCO's 118,287 training images, those with a box: the paper's epoch."""
FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes of DistributedDataParallel's first bucket, and of each that follows."""
GPUS = (1, 2, 4, 8, 16, 32, 64)


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
    """A step on one device: forward, backward and optimiser, on images that are there already.

    Attributes:
        recipe, work: The recipe's name, and what it asks for.
        step: Seconds, the median of ``steps``; 0 steps where the time was given.
        backward: Seconds of it that the backward takes; None where unknown.
        gradient: Bytes of the gradients.
        memory: Bytes, NaN where unknown. With ``memory_is`` "peak": the most that torch had
            allocated on a GPU. "kept": weights, gradients, the optimiser's state and what the
            forward keeps for the backward, counted on a CPU; less than a GPU's peak.
        device, gpu, threads: The device's name, whether it is a GPU, the threads of a CPU.
        size: Height and width of the images in pixels.
        settings: What was changed in the recipe.
    """

    recipe: str
    work: Work
    step: float
    backward: float | None
    gradient: int
    memory: float
    memory_is: str
    device: str
    gpu: bool
    size: tuple[int, int]
    threads: int
    steps: int
    torch: str
    date: str
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | Path | None = None) -> Path:
        """Keep it: one file a recipe, its changes, and device; an older one is replaced."""
        changed = json.dumps(self.settings, sort_keys=True, default=str)
        mark = f"-{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if self.settings else ""
        path = Path(folder or STEPS) / f"{_slug(self.recipe)}{mark}.{_slug(self.device)}.json"
        write_whole(path, json.dumps(asdict(self), indent=2, default=str) + "\n")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Measurement:
        """A measurement that was written before, here or elsewhere; LabError for anything else."""
        try:
            said = read_json(path, "'crosskd-lab plan' makes one")
            work = Work(**said.pop("work"))
            return cls(**{**said, "work": work, "size": tuple(said["size"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(
                f"{path} is no measured step ({error}): delete it and measure again"
            ) from error


def newest(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    folder: str | Path | None = None,
) -> Measurement | None:
    """The last measurement of a recipe with these settings: on ``device``, or else on any GPU."""
    kept = []
    for path in sorted(Path(folder or STEPS).glob("*.json")):
        try:
            kept.append(Measurement.read(path))
        except LabError as error:  # one broken file hides no other
            tell_once(str(error))
    wanted = json.loads(json.dumps(dict(settings or {}), default=str))
    fit = [m for m in kept if m.recipe == recipe and m.settings == wanted]
    fit = [m for m in fit if (m.gpu if device is None else m.device == device)]
    return max(fit, key=lambda m: m.date, default=None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.removesuffix(".py").lower()).strip("-")


@dataclass(frozen=True)
class Link:
    """What is assumed of the machines; LabError for what no machine has.

    Attributes:
        bandwidth, between: Between GPUs of one machine and between machines, bytes a second each
            way. A ring is as fast as its slowest link.
        latency: Seconds that a bucket takes beside its bytes.
        overlap: Share of the communication that the backward hides, 0 to 1.
        machine: GPUs a machine.
    """

    bandwidth: float = 20e9
    between: float = 5e9
    latency: float = 1e-4
    overlap: float = 0.5
    machine: int = 8

    def __post_init__(self) -> None:
        if not (self.bandwidth > 0 and self.between > 0 and self.latency >= 0):
            raise LabError("--bandwidth and --between must be positive, --latency at least 0")
        if not 0 <= self.overlap <= 1:
            raise LabError(f"--overlap is a share from 0 to 1, got {self.overlap:g}")
        if self.machine < 1:
            raise LabError("--machine must be at least 1: it counts the GPUs of one machine")

    def slowest(self, gpus: int) -> float:
        """Bytes a second of the slowest link that a ring of this many GPUs has."""
        return self.bandwidth if gpus <= self.machine else min(self.bandwidth, self.between)


def bucket_count(gradient: float) -> int:
    """Into how many buckets DistributedDataParallel cuts so many bytes of gradients."""
    return 1 + max(0, math.ceil((gradient - FIRST_BUCKET) / BUCKET))


def ring_seconds(
    gradient: float, gpus: int, bandwidth: float, buckets: int, latency: float
) -> float:
    """Seconds of one ring all-reduce of ``gradient`` bytes among ``gpus`` processes."""
    if gpus < 2:
        return 0.0
    return 2 * (gpus - 1) / gpus * gradient / bandwidth + buckets * latency


def exposed_seconds(communication: float, overlap: float, backward: float | None = None) -> float:
    """Seconds of the communication that a step waits for: a backward hides no more than itself."""
    hidden = overlap * communication
    return communication - (hidden if backward is None else min(hidden, backward))


def outlook(
    measured: Measurement,
    link: Link | None = None,
    price: float | None = None,
    gpus: Sequence[int] = GPUS,
) -> pd.DataFrame:
    """One row a number of GPUs; ``price`` is of one GPU for one hour, in any currency.

    Each does the measured step on its own images and then waits for the part of the communication
    that its backward did not hide. Loading images, validations and checkpoints are not in it.

    ``gpus, machines, images`` (a step), ``rate`` (after auto_scale_lr), ``steps`` (of the whole
    run), ``seconds`` (a step), ``hours, gpu_hours, efficiency`` (images a second against as many
    single GPUs, 0 to 1), ``memory`` (bytes a GPU), and ``cost`` where there is a price.
    """
    if price is not None and price < 0:
        raise LabError(f"--price is what a GPU costs an hour, got {price:g}")
    frame = pd.DataFrame([_row(measured, link or Link(), count) for count in gpus])
    return frame if price is None else frame.assign(cost=frame["gpu_hours"] * price)


def _row(measured: Measurement, link: Link, gpus: int) -> dict[str, Any]:
    work, gradient = measured.work, measured.gradient
    told = ring_seconds(gradient, gpus, link.slowest(gpus), bucket_count(gradient), link.latency)
    seconds = measured.step + exposed_seconds(told, link.overlap, measured.backward)
    steps = work.length(gpus)
    hours = steps * seconds / 3600
    return {
        "gpus": gpus,
        "machines": -(-gpus // link.machine),
        "images": work.batch * gpus,
        "rate": work.rate_at(gpus),
        "steps": steps,
        "seconds": seconds,
        "hours": hours,
        "gpu_hours": hours * gpus,
        "efficiency": measured.step / seconds,
        # among several, the gradients lie in the buckets once more
        "memory": measured.memory + (gradient if gpus > 1 else 0),
    }


def paper_gpu_hours(measured: Measurement, images: int) -> float:
    """GPU-hours of a recipe as the paper ran it: on COCO, ``images`` a step over all GPUs."""
    measured = replace(measured, work=replace(measured.work, images=COCO_IMAGES))
    gpus = max(1, round(images / measured.work.batch))
    return float(outlook(measured, gpus=[gpus])["gpu_hours"].iloc[0])
