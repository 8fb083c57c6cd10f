"""Heads as figures and tables show them, read from the modules as they were built."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from ..cross_head import ALIGNMENTS, ConvAlign, delivered_layer
from ..heads.base import BRANCHES, Predictions
from ..heads.dense import HeadAdapter
from ..heads.spaces import same_space
from ..maps import centres
from ..methods.crosskd import CrossKD
from ..pair import Pair
from ..report.head_figures import Delivery, HeadView, Layer, Tower

CODINGS = {
    "DeltaXYWHBBoxCoder": "deltas from an anchor",
    "DistancePointBBoxCoder": "distances to the edges",
}


def head_view(head: HeadAdapter, title: str) -> HeadView:
    """A head to draw: every hidden conv's kernel, channels, normalisation and activation."""
    reg = _say(head).reg[0]
    each = "" if head.anchors == 1 else f"{head.anchors} anchors × "
    says = {"cls": f"{each}{head.num_classes} classes"}
    says["reg"] = f"{each}{_numbers(reg.size(1) // head.anchors)}"
    towers = {}
    for branch in BRANCHES:
        layers = tuple(_layer(conv) for conv in head.tower(branch, 0))
        towers[branch] = Tower(head.channels(branch, 0), layers, says[branch])
    return HeadView(title, towers)


def delivery_of(pair: Pair, method: CrossKD) -> Delivery:
    """Where a method that is attached to the pair delivers, and how it fits the feature."""
    defaults = pair.teacher_head.defaults
    i = defaults.layer if method.i is None else method.i
    fitted, learnt = {}, dict(method.learned.items())
    for branch in BRANCHES:
        learned = learnt.get(branch)
        if isinstance(learned, ConvAlign):
            conv = learned.conv
            then = next(name for name, one in ALIGNMENTS.items() if one is learned.then)
            size = "×".join(map(str, conv.kernel_size))
            text = f"{size} conv,\n{conv.in_channels} to {conv.out_channels},\nthen {then}"
        else:
            text = f"align:\n{defaults.align if method.align is None else method.align}"
        fitted[branch] = text
    return Delivery(i, delivered_layer(pair.student_head, pair.teacher_head, i), fitted)


def spaces_table(pair: Pair) -> pd.DataFrame:
    """The spaces that both heads predict in: a row a property, a column a head."""
    columns = {}
    for role in ("student", "teacher"):
        head = getattr(pair, f"{role}_head")
        said = _say(head)
        per_anchor = said.reg[0].size(1) // head.anchors
        coder = type(getattr(head.head, "bbox_coder", None)).__name__
        first = centres(head, said.cls)[0][0, 0].tolist()
        columns[f"{role}: {type(getattr(pair, role)).__name__}"] = {
            "anchors (or points) a location": head.anchors,
            "classes": head.num_classes,
            "box, numbers an anchor": _numbers(per_anchor),
            "box, coded as": CODINGS.get(coder, coder),
            "centerness": "no" if said.centerness is None else "yes",
            "numbers a location, in all": sum(
                maps[0].size(1) for maps in (said.cls, said.reg, said.centerness) if maps
            ),
            "first location of the finest level (x, y)": tuple(round(v, 1) for v in first),
        }
    return pd.DataFrame(columns)


def translation(pair: Pair) -> str:
    """What plain mimicking has to do before it can compare the two heads' predictions."""
    ours, theirs = pair.student_head, pair.teacher_head
    if same_space(ours, theirs):
        return "One space: plain KD compares the two predictions number by number."
    steps = []
    if theirs.anchors > 1:
        steps.append(f"keeps the best of the teacher's {theirs.anchors} anchors at each location")
    if ours.anchors > 1:
        steps.append(f"teaches the nearest of the student's {ours.anchors} anchors")
    steps.append("decodes both boxes and compares them by GIoU")
    return f"Two spaces: plain KD {', '.join(steps)}. CrossKD translates nothing."


@torch.no_grad()
def _say(head: HeadAdapter) -> Predictions:
    """What the predictors say of empty 2 by 2 maps."""
    maps = {
        branch: tuple(torch.zeros(1, head.channels(branch, head.depth), 2, 2) for _ in head.strides)
        for branch in BRANCHES
    }
    return head.predict(maps)


def _layer(conv: Any) -> Layer:
    kernel = "×".join(map(str, conv.conv.kernel_size))
    then = []
    if conv.with_norm:
        groups = getattr(conv.norm, "num_groups", None)
        short = {"GroupNorm": "GN", "BatchNorm2d": "BN"}
        name = type(conv.norm).__name__
        then.append(f"{short.get(name, name)}{f' {groups}' if groups else ''}")
    if conv.with_activation:
        then.append(type(conv.activate).__name__)
    return Layer(kernel, conv.conv.out_channels, ", ".join(then) or "nothing after it")


def _numbers(count: int) -> str:
    return f"{count} numbers" if count == 4 else f"4 edges × {count // 4} bins"
