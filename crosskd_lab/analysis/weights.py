"""What a method weighs and where it pulls, on one image: S(r) beside the gradient that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..methods import Method
from ..pair import Pair
from ..taps import Taps, collect
from .gradients import concentration, energy_map, gradients, loss_terms
from .maps import View, centres, on_image, pixels

REGION, PULL = "weights S(r)", "gradient at the neck"


def weight_map(taps: Taps, method: Method, image: int, size: tuple[int, int]) -> Tensor:
    """S(r) of a method on one image, ``(H, W)``, all levels on top of each other.

    A location's weight is spread over the stride by stride pixels that it stands for, so that the
    map's sum is that of S(r) over r, and a method that weighs all alike has the same everywhere.

    Args:
        taps: Of the batch.
        method: One that is attached to the pair.
        image: Index in the batch.
        size: H and W in pixels.
    """
    levels = zip(method.region_map(taps), taps.teacher_head.strides, strict=True)
    values = [level[image] / stride**2 for level, stride in levels]
    where = centres(taps.teacher_head, taps.teacher.neck)
    return on_image(values, where, size).sum(0)


def method_views(
    pair: Pair, batch: Mapping[str, Any], methods: Mapping[str, Method], image: int = 0
) -> dict[str, View]:
    """Region and gradient of every method on one image of a batch, from one forward pass.

    Args:
        pair: Student and teacher.
        batch: ``inputs`` and ``data_samples`` with ground truth.
        methods: Attached to the pair, by the names that the views shall have.
        image: Index in the batch.

    Returns:
        By name, with two maps: :data:`REGION`, and :data:`PULL`, the energy of the gradient at the
        student's neck.
    """
    inputs = batch["inputs"]
    size = (inputs.shape[-2], inputs.shape[-1])
    with torch.enable_grad():
        taps, detection = collect(pair, inputs, batch["data_samples"])
        found = gradients(taps, loss_terms(taps, detection, methods))
    picture = pixels(pair, inputs)[image]
    boxes = taps.gt_instances[image].bboxes.cpu().numpy()
    views = {}
    for name, method in methods.items():
        region = weight_map(taps, method, image, size).detach().cpu().numpy()
        pull = energy_map(taps, found[name], image, size).cpu().numpy()
        views[name] = View(picture, boxes, {REGION: region, PULL: pull})
    return views


def weight_shares(
    pair: Pair, batch: Mapping[str, Any], methods: Mapping[str, Method]
) -> pd.DataFrame:
    """How much of every method's weight and gradient lies inside boxes: a row an image and method.

    Returns:
        ``image``, ``method``; ``chosen``, the share of locations with any weight; ``weight`` and
        ``pull``, the shares of S(r) and of the gradient's energy at locations inside boxes, NaN
        where there is none; ``area``, the share of locations there; ``cosine`` of the gradient
        with the detection loss's.
    """
    with torch.enable_grad():
        taps, detection = collect(pair, batch["inputs"], batch["data_samples"])
        found = gradients(taps, loss_terms(taps, detection, methods))
    pulls = concentration(taps, found).rename(columns={"loss": "method", "inside": "pull"})
    points = torch.cat([c.flatten(0, 1) for c in centres(taps.teacher_head, taps.teacher.neck)])
    rows = []
    for name, method in methods.items():
        weights = torch.cat([level.flatten(1) for level in method.region_map(taps)], 1).double()
        for index, truth in enumerate(taps.gt_instances):
            low, high = truth.bboxes[:, None, :2], truth.bboxes[:, None, 2:]
            inside = ((points >= low) & (points <= high)).all(-1).any(0)
            own = weights[index]
            share = float((own * inside).sum() / own.sum())  # 0 / 0 is nan, on purpose
            rows.append({"method": name, "chosen": float((own > 0).double().mean())})
            rows[-1] |= {"image": taps.metas[index].get("img_id", index), "weight": share}
    return pd.DataFrame(rows).merge(
        pulls[["image", "method", "pull", "area", "cosine"]], on=["image", "method"]
    )[["image", "method", "chosen", "weight", "pull", "area", "cosine"]]
