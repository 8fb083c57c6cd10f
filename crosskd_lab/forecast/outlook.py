"""The plan as a table: what a recipe takes on 1, 2, 4 ... 64 GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ..errors import LabError
from .communication import Link, bucket_count, exposed_seconds, ring_seconds
from .measurement import COCO_IMAGES, Measurement

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
