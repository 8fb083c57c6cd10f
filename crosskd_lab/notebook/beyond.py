"""What heads beyond the dense ones see on an image: scores of RoIs, places of attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..heads.decoder import DecoderTaps
from ..heads.roi import RoITaps
from ..taps import Taps


def roi_scores(taps: Taps) -> dict[str, Tensor]:
    """Scores of every RoI, ``(R, K)`` in [0, 1], as each says them.

    Returns:
        "p^s", the student's; "p_hat^s, i = 0" ... the cross-head's from each layer; "p^t".
    """
    ours, theirs = taps.student_head, taps.teacher_head
    logits = {"p^s": ours.flat_cls(taps.student.predictions)}
    for i in range(theirs.depth + 1):
        logits[f"p_hat^s, i = {i}"] = theirs.flat_cls(taps.cross(i, branches=("cls",)))
    logits["p^t"] = theirs.flat_cls(taps.teacher.predictions)
    return {name: said[0].detach().sigmoid() for name, said in logits.items()}


def roi_map(taps: Taps, scores: Tensor, image: int, size: tuple[int, int]) -> Tensor:
    """RoIs painted on an image: each pixel takes the best score of the RoIs that cover it.

    Args:
        taps: Of the batch; its RoIs are ``(R, 5)``.
        scores: ``(R, K)``.
        image: Index in the batch.
        size: H and W in pixels.

    Returns:
        ``(H, W)``, 0 where no RoI is.
    """
    assert isinstance(taps.student, RoITaps)
    rois = taps.student.rois
    mine = rois[:, 0] == image
    painted = scores.new_zeros(size)
    for (_, *box), score in zip(rois[mine].tolist(), scores[mine].amax(-1), strict=True):
        left, top, right, bottom = (max(round(edge), 0) for edge in box)
        painted[top:bottom, left:right] = painted[top:bottom, left:right].clamp(min=score)
    return painted


def attention_map(
    taps: Taps, asks: DecoderTaps, memory: Tensor, layer: int, image: int, size: tuple[int, int]
) -> Tensor:
    """Where a decoder layer of the teacher looks: attention gathered at its sampling places.

    Args:
        taps: Of the batch.
        asks: Whose queries and references enter the layer.
        memory: ``(N, V, C)`` that it reads.
        layer: 0 ... L - 1.
        image: Index in the batch.
        size: H and W in pixels of the image.

    Returns:
        ``(H, W)``; a pixel holds the weights, summed over queries and heads, of the places that
        fall on it. Places outside of the image are left out.
    """
    head: Any = taps.teacher_head
    attention = head.decoder.layers[layer].cross_attn
    heard: dict[str, Tensor] = {}
    hooks = [
        attention.register_forward_pre_hook(
            lambda module, args, kwargs: heard.update(reference=kwargs["reference_points"]),
            with_kwargs=True,
        ),
        *(
            getattr(attention, name).register_forward_hook(
                lambda module, args, out, name=name: heard.update({name: out})
            )
            for name in ("sampling_offsets", "attention_weights")
        ),
    ]
    try:
        with torch.no_grad():
            enters = asks.entering[layer], asks.query_pos, memory, asks.references[layer]
            head.through(layer, *enters, asks.places)
    finally:
        for hook in hooks:
            hook.remove()
    return _gathered(attention, heard, asks.places["spatial_shapes"], image, size)


def _gathered(
    attention: Any, heard: dict[str, Tensor], shapes: Tensor, image: int, size: tuple[int, int]
) -> Tensor:
    """Weights ``(H, W)`` at the places of one image; Deformable DETR's own formulas."""
    heads, levels, points = attention.num_heads, attention.num_levels, attention.num_points
    offsets = heard["sampling_offsets"][image].unflatten(-1, (heads, levels, points, 2))
    weights = heard["attention_weights"][image].unflatten(-1, (heads, levels * points))
    weights = weights.softmax(-1).unflatten(-1, (levels, points))
    reference = heard["reference"][image][:, None, :, None]  # (Q, 1, levels, 1, 2 or 4)
    if reference.size(-1) == 2:
        steps = offsets / shapes.flip(-1)[:, None]
    else:
        steps = offsets / points * reference[..., 2:] * 0.5
    places = (reference[..., :2] + steps).flatten(0, -2) * steps.new_tensor(size[::-1])
    x, y = places.floor().long().unbind(-1)
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    found = weights.new_zeros(size[0] * size[1])
    found.index_add_(0, (y * size[1] + x)[inside], weights.flatten()[inside])
    return found.view(size)
