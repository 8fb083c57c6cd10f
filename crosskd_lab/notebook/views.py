"""Heads as figures show them, read from the modules as they were built."""

from typing import Any

import torch

from ..cross_head import ALIGNMENTS, ConvAlign, delivered_layer
from ..heads.base import BRANCHES, Predictions
from ..heads.dense import HeadAdapter
from ..methods.crosskd import CrossKD
from ..pair import Pair
from ..report.head_figures import Delivery, HeadView, Layer, Tower


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


@torch.no_grad()
def _say(head: HeadAdapter) -> Predictions:
    """What the predictors say of empty 2 by 2 maps."""
    device = next(head.head.parameters()).device
    maps = {
        branch: tuple(
            torch.zeros(1, head.channels(branch, head.depth), 2, 2, device=device)
            for _ in head.strides
        )
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
