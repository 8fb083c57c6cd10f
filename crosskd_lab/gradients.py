"""Fig. 5: where each loss pulls at the student's features, how focused, how deep, against whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .errors import LabError
from .heads.base import BRANCHES, Levels, total
from .heads.dense import HeadAdapter
from .maps import View, centres, on_image, view
from .methods.base import Method, levels_of
from .pair import Pair
from .taps import Taps, collect

if TYPE_CHECKING:
    import pandas as pd

DETECTION, PREDICTORS = "detection", "predictors"
REGION, PULL = "weights S(r)", "gradient at the neck"

Terms = dict[str, dict[str, Tensor]]
"""``terms[source][name]``: a source is "detection" or a method's name; names are the log's."""


def loss_terms(taps: Taps, detection: Mapping[str, Any], methods: Mapping[str, Method]) -> Terms:
    """Every named loss of one batch, a scalar each, on the same taps, by the source that gives it.

    ``taps`` with gradients on and the ``detection`` losses are what :func:`collect` returns.
    """
    own = {name: total(value) for name, value in detection.items() if "loss" in name}
    return {DETECTION: own, **{name: method.losses(taps) for name, method in methods.items()}}


def gradient(loss: Tensor, levels: Levels) -> Levels:
    """d loss / d feature on every level, ``(N, C, H, W)``; zeros where the loss does not reach."""
    if not loss.requires_grad:
        return tuple(torch.zeros_like(feature) for feature in levels)
    return torch.autograd.grad(loss, levels, retain_graph=True, materialize_grads=True)


def gradients(taps: Taps, terms: Terms, where: str = "neck", i: int = 0) -> dict[str, Levels]:
    """d loss / d feature of each source's whole loss, ``(N, C, H, W)`` per level.

    The feature is the student's "neck", or f_i of its "cls" or "reg" tower, i = 0 ... depth.
    LabError where it has no gradient.
    """
    feature, _ = levels_of(taps, where, i)
    if not feature[0].requires_grad:
        raise LabError(
            f"no gradient reaches the student's {where}: its weights are frozen, or this runs in "
            "inference mode"
        )
    with torch.enable_grad():
        wholes = {source: torch.stack([*losses.values()]).sum() for source, losses in terms.items()}
    return {source: gradient(whole, feature) for source, whole in wholes.items()}


def energy(gradient: Levels) -> Levels:
    """|g| summed over channels: per level ``(N, H, W)``."""
    return tuple(g.detach().abs().sum(1) for g in gradient)


def energy_map(taps: Taps, gradient: Levels, image: int, size: tuple[int, int]) -> Tensor:
    """Fig. 5: the energy on one image, ``(H, W)``, all levels on top of each other.

    A location's energy is shared among its pixels, so that the map sums up to the whole energy and
    coarse levels do not count more than they hold.
    """
    values = [level[image] for level in energy(gradient)]
    where = centres(taps.student_head, taps.student.predictions.cls)
    return on_image(values, where, size, share=True).sum(0)


def energy_cells(taps: Taps, gradient: Levels) -> Tensor:
    """The energy of all levels on top of each other, at the finest level's locations: ``(N, R_0)``.

    As in :func:`energy_map`, a coarse location's energy is shared among the cells under it, so that
    it counts as spread over them and not as one peak among many fine locations.
    """
    where = centres(taps.student_head, taps.student.predictions.cls)
    height, width = where[0].shape[:2]
    first, last = where[0][0, 0], where[0][-1, -1]
    steps = first.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    step = torch.where(last > first, (last - first) / steps, 1.0)
    cells = [(part - first) / step + 0.5 for part in where]  # the middle of cell k is at k + 0.5
    images = zip(*energy(gradient), strict=True)
    laid = [on_image(values, cells, (height, width), share=True).sum(0) for values in images]
    return torch.stack(laid).flatten(1)


def inside_boxes(taps: Taps) -> Tensor:
    """``(N, R)`` bool: locations whose centre lies in a ground-truth box, finest level first."""
    parts = centres(taps.student_head, taps.student.predictions.cls)
    points = torch.cat([part.flatten(0, 1) for part in parts])  # (R, 2)
    return torch.stack([_inside(points, truth.bboxes) for truth in taps.gt_instances])


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """``(R,)`` bool: whether a point ``(R, 2)`` lies in one of the boxes ``(G, 4)``."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]  # (G, 1, 2)
    return ((points >= low) & (points <= high)).all(-1).any(0)


def gini(values: Tensor) -> Tensor:
    """Gini coefficient of non-negative values ``(..., n)`` along the last axis: ``(...,)``.

    0 where all are equal, (n - 1) / n where one holds everything; NaN where there is nothing.
    """
    n = values.size(-1)
    ranked = values.double().sort(-1).values  # (..., n)
    rank = torch.arange(1, n + 1, dtype=ranked.dtype, device=values.device)
    return ((2 * rank - n - 1) * ranked).sum(-1) / (n * ranked.sum(-1))


def cosine(a: Levels, b: Levels) -> Tensor:
    """Cosine between two gradients of one feature, image by image: ``(N,)``; NaN where one is 0.

    Negative values are conflict in gradient space: a step along one loss undoes the other's.
    """
    one, other = (torch.cat([g.flatten(1) for g in levels], 1).double() for levels in (a, b))
    lengths = one.norm(dim=1) * other.norm(dim=1)  # (N,)
    return (one * other).sum(1) / lengths  # 0 / 0 is nan, on purpose


def concentration(taps: Taps, found: Mapping[str, Levels]) -> pd.DataFrame:
    """How focused every source's gradient is, and how it stands to the detection loss's.

    ``found`` has them by source with respect to one feature, "detection" among them.

    A row an image and source: ``image`` (its id), ``loss`` (the source), ``inside`` (share of
    energy inside ground-truth boxes), ``area`` (share of locations there: what a gradient without
    focus would have), ``gini`` of the energy over the image (:func:`energy_cells`), ``cosine`` with
    the detection gradient; NaN where the gradient is zero.
    """
    import pandas as pd

    inside = inside_boxes(taps)  # (N, R)
    ids = [meta.get("img_id", index) for index, meta in enumerate(taps.metas)]
    frames = []
    for source, gradient in found.items():
        flat = torch.cat([level.flatten(1) for level in energy(gradient)], 1).double()
        columns = {
            "inside": (flat * inside).sum(1) / flat.sum(1),
            "area": inside.double().mean(1),
            "gini": gini(energy_cells(taps, gradient)),
            "cosine": cosine(gradient, found[DETECTION]),
        }
        values = {name: column.tolist() for name, column in columns.items()}
        frames.append(pd.DataFrame({"image": ids, "loss": source, **values}))
    return pd.concat(frames, ignore_index=True)


def measure_gradients(
    pair: Pair,
    batches: Iterable[Mapping[str, Any]],
    methods: Mapping[str, Method],
    places: Sequence[tuple[str, int]] = (("neck", 0),),
) -> pd.DataFrame:
    """:func:`concentration` over a set, with columns ``where`` and ``i`` for the feature.

    The student is read in the mode it is in; in training mode its batch norms would learn. Batches
    are preprocessed, ``dict(inputs, data_samples)`` with ground truth; ``places`` are features as
    (where, i), see :func:`gradients`.
    """
    import pandas as pd

    frames = []
    for batch in batches:
        taps, terms = _losses_of(pair, batch, methods)
        for where, i in places:
            frame = concentration(taps, gradients(taps, terms, where, i))
            frame.insert(1, "where", where)
            frame.insert(2, "i", i)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _losses_of(
    pair: Pair, batch: Mapping[str, Any], methods: Mapping[str, Method]
) -> tuple[Taps, Terms]:
    """One forward pass of both detectors with gradients on, and all losses on it.

    LabError for heads that have no locations.
    """
    if pair.student_head.family != "dense":
        raise LabError(
            "gradients are mapped location by location, of dense heads: choose such a pair"
        )
    with torch.enable_grad():
        taps, detection = collect(pair, batch["inputs"], batch["data_samples"])
        return taps, loss_terms(taps, detection, methods)


def _energy_view(
    pair: Pair, batch: Mapping[str, Any], taps: Taps, found: Mapping[str, Levels], image: int
) -> View:
    """The energy map ``(H, W)`` of every gradient on one image."""
    size = batch["inputs"].shape[-2:]
    maps = {name: energy_map(taps, g, image, size) for name, g in found.items()}
    return view(pair, batch, maps, image)


def gradient_view(
    pair: Pair,
    batch: Mapping[str, Any],
    methods: Mapping[str, Method],
    where: str = "neck",
    i: int = 0,
    image: int = 0,
) -> View:
    """Fig. 5 for one image of a batch: the energy map ``(H, W)`` of every source at one feature."""
    taps, terms = _losses_of(pair, batch, methods)
    return _energy_view(pair, batch, taps, gradients(taps, terms, where, i), image)


def term_views(
    pair: Pair,
    batch: Mapping[str, Any],
    methods: Mapping[str, Method],
    places: Sequence[tuple[str, int]],
    image: int = 0,
) -> dict[tuple[str, int], View]:
    """:func:`gradient_view`, ``(H, W)``, of every single term, at several features, from one pass.

    By place, with a map for every source as a whole (its name) and for each of its terms
    (``"CrossKD: loss_crosskd_cls"``).
    """
    taps, terms = _losses_of(pair, batch, methods)
    named = dict(terms)
    for source, losses in terms.items():
        named |= {f"{source}: {name}": {name: loss} for name, loss in losses.items()}
    return {
        (where, i): _energy_view(pair, batch, taps, gradients(taps, named, where, i), image)
        for where, i in places
    }


def layers_of(detector: Any, head: HeadAdapter) -> dict[str, list[nn.Parameter]]:
    """A dense detector's trained weights by the part that they belong to, from image to prediction.

    "backbone", "neck", "cls 1" ... "cls n", "reg 1" ... "reg n" (hidden convs in the paper's count:
    layer k makes f_k) and "predictors", all that is left of the head. A conv that both towers or
    several levels share is filed where it comes first.
    """
    parts = {name: list(getattr(detector, name).parameters()) for name in ("backbone", "neck")}
    for branch in BRANCHES:
        towers = [head.tower(branch, level) for level in range(len(head.strides))]
        for k, convs in enumerate(zip(*towers, strict=True), 1):
            parts[f"{branch} {k}"] = [p for conv in convs for p in conv.parameters()]
    parts[PREDICTORS] = list(head.head.parameters())
    filed: dict[nn.Parameter, str] = {}
    for name, own in parts.items():
        for weight in own:
            filed.setdefault(weight, name)
    return {n: [p for p, at in filed.items() if at == n and p.requires_grad] for n in parts}


def reach(pair: Pair, loss: Tensor) -> pd.DataFrame:
    """How strongly a loss, a scalar with its graph, pulls at every part of the student.

    ``part``, as :func:`layers_of` names it, and ``norm``, the gradient's Euclidean length over the
    part's weights; exactly 0 where the loss does not reach.
    """
    import pandas as pd

    parts = layers_of(pair.student, pair.student_head)
    weights = [p for own in parts.values() for p in own]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    squares = iter(0.0 if g is None else g.double().square().sum().item() for g in found)
    norms = [sum(next(squares) for _ in own) ** 0.5 for own in parts.values()]
    return pd.DataFrame({"part": list(parts), "norm": norms})


def weight_map(taps: Taps, method: Method, image: int, size: tuple[int, int]) -> Tensor:
    """S(r) of a method on one image, ``(H, W)``, all levels on top of each other.

    A location's weight is spread over the stride by stride pixels that it stands for, so that the
    map's sum is that of S(r) over r, and a method that weighs all alike has the same everywhere.
    """
    levels = zip(method.region_map(taps), taps.teacher_head.strides, strict=True)
    values = [level[image] / stride**2 for level, stride in levels]
    where = centres(taps.teacher_head, taps.teacher.neck)
    return on_image(values, where, size).sum(0)


def method_views(
    pair: Pair, batch: Mapping[str, Any], methods: Mapping[str, Method], image: int = 0
) -> dict[str, View]:
    """Region and gradient ``(H, W)`` of every attached method on one image, from one forward pass.

    By name, with two maps: :data:`REGION`, and :data:`PULL`, the energy of the gradient at the
    student's neck.
    """
    taps, terms = _losses_of(pair, batch, methods)
    size = batch["inputs"].shape[-2:]
    found, views = gradients(taps, terms), {}
    for name, method in methods.items():
        region = weight_map(taps, method, image, size)
        pull = energy_map(taps, found[name], image, size)
        views[name] = view(pair, batch, {REGION: region, PULL: pull}, image)
    return views


def weight_shares(
    pair: Pair, batch: Mapping[str, Any], methods: Mapping[str, Method]
) -> pd.DataFrame:
    """How much of every method's weight and gradient lies inside boxes: a row an image and method.

    ``image``, ``method``; ``chosen``, the share of locations with any weight; ``weight`` and
    ``pull``, the shares of S(r) and of the gradient's energy at locations inside boxes, NaN where
    there is none; ``area``, the share of locations there; ``cosine`` of the gradient with the
    detection loss's.
    """
    import pandas as pd

    taps, terms = _losses_of(pair, batch, methods)
    pulls = concentration(taps, gradients(taps, terms))
    points = torch.cat([c.flatten(0, 1) for c in centres(taps.teacher_head, taps.teacher.neck)])
    inside = torch.stack([_inside(points, truth.bboxes) for truth in taps.gt_instances])  # (N, R)
    frames = []
    for name, method in methods.items():
        weights = torch.cat([level.flatten(1) for level in method.region_map(taps)], 1).double()
        chosen = (weights > 0).double().mean(1)  # (N,)
        share = (weights * inside).sum(1) / weights.sum(1)  # (N,); 0 / 0 is nan, on purpose
        own = pulls[pulls["loss"] == name].rename(columns={"loss": "method", "inside": "pull"})
        frames.append(own.assign(chosen=chosen.tolist(), weight=share.tolist()))
    columns = ["image", "method", "chosen", "weight", "pull", "area", "cosine"]
    return pd.concat(frames, ignore_index=True)[columns]
