"""Hours, memory and cost of a recipe on more GPUs than are here, from one measured step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..errors import LabError
from .measurement import COCO_IMAGES, Measurement

FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes of DistributedDataParallel's first bucket, and of each that follows."""


@dataclass(frozen=True)
class Link:
    """What is assumed of the machines.

    Attributes:
        bandwidth: Between GPUs of one machine, bytes a second each way.
        between: Between machines, bytes a second each way. A ring is as fast as its slowest link.
        latency: Seconds that a bucket takes beside its bytes.
        overlap: Share of the communication that the backward hides, 0 to 1.
        machine: GPUs a machine.

    Raises:
        LabError: for a bandwidth that is not positive, or a share outside 0 to 1.
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
    """Seconds of one ring all-reduce of all gradients; 0 for one GPU.

    Args:
        gradient: Bytes of the gradients.
        gpus: n, the processes in the ring.
        bandwidth: Of its slowest link, bytes a second each way.
        buckets: Into how many pieces the gradients are cut.
        latency: Seconds a bucket takes beside its bytes.
    """
    if gpus < 2:
        return 0.0
    return 2 * (gpus - 1) / gpus * gradient / bandwidth + buckets * latency


def exposed_seconds(communication: float, overlap: float, backward: float | None = None) -> float:
    """The part of the communication that a step waits for.

    Args:
        communication: Seconds of it.
        overlap: Share that the backward hides.
        backward: Seconds of the backward, which cannot hide more than itself; None where unknown.
    """
    hidden = overlap * communication
    return communication - (hidden if backward is None else min(hidden, backward))


GPUS = (1, 2, 4, 8, 16, 32, 64)


def outlook(
    measured: Measurement,
    link: Link | None = None,
    price: float | None = None,
    gpus: Sequence[int] = GPUS,
) -> pd.DataFrame:
    """One row a number of GPUs.

    Each does the measured step on its own images and then waits for the part of the communication
    that its backward did not hide. Loading images, validations and checkpoints are not in it.

    Args:
        measured: A step on one GPU.
        link: What is assumed of the machines.
        price: Of one GPU for one hour, in any currency.
        gpus: How many.

    Returns:
        ``gpus, machines, images`` (a step), ``rate`` (after auto_scale_lr), ``steps`` (of the
        whole run), ``seconds`` (a step), ``hours, gpu_hours, efficiency`` (images a second against
        as many single GPUs, 0 to 1), ``memory`` (bytes a GPU), and ``cost`` where there is a price.

    Raises:
        LabError: for a price that is negative.
    """
    if price is not None and price < 0:
        raise LabError(f"--price is what a GPU costs an hour, got {price:g}")
    link = link or Link()
    frame = pd.DataFrame([_row(measured, link, count) for count in gpus])
    if price is not None:
        frame["cost"] = frame["gpu_hours"] * price
    return frame


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
    """GPU-hours of one of the paper's recipes as the paper ran it: on COCO, at its own batch.

    Args:
        measured: A step of it on a GPU.
        images: A step, over all GPUs.
    """
    measured = replace(measured, work=replace(measured.work, images=COCO_IMAGES))
    gpus = max(1, round(images / measured.work.batch))
    return float(outlook(measured, gpus=[gpus])["gpu_hours"].iloc[0])
