"""What a lesson measures on the tensors of one batch: tensors in, small tables out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ..conflict import conflict_ratio, locate
from ..cross_head import align_statistics
from ..heads.base import BRANCHES
from ..losses import everywhere, kd_quality_focal, region_mean
from ..methods.base import Method
from ..methods.crosskd import CrossKD, PredictionMimicking
from ..pair import Pair
from ..taps import collect
from .seen import Seen
from .students import Student


def heads_table(pair: Pair) -> pd.DataFrame:
    """A row a detector: parameters in millions, and the sizes that a pair must share or may not."""
    rows = {}
    for name in ("student", "teacher"):
        detector, head = getattr(pair, name), getattr(pair, f"{name}_head")
        conv = head.tower("cls", 0)[0].conv
        rows[name] = {
            "parameters (millions)": round(sum(p.numel() for p in detector.parameters()) / 1e6, 2),
            "backbone channels": detector.backbone.base_channels,
            "channels of f_i": conv.in_channels,
            "hidden convs a branch": head.depth,
            "strides (pixels)": str(head.strides),
            "trained here": any(p.requires_grad for p in detector.parameters()),
        }
    return pd.DataFrame(rows).T


def feature_table(seen: Seen, branch: str = "cls", level: int = 0) -> pd.DataFrame:
    """A row a layer index i: shape of f_i, mean, deviation and share of zeros on both sides.

    Args:
        seen: The batch.
        branch: "cls" or "reg".
        level: Pyramid level, 0 the finest.
    """
    rows = []
    walks = zip(seen.taps.student.towers[branch], seen.taps.teacher.towers[branch], strict=True)
    for i, (student, teacher) in enumerate(walks):
        row: dict[str, Any] = {"i": i, "shape": tuple(student[level].shape)}
        for name, feature in (("f_i^s", student[level]), ("f_i^t", teacher[level])):
            row[f"mean {name}"] = feature.mean().item()
            row[f"std {name}"] = feature.std().item()
            row[f"zeros {name}"] = f"{100 * (feature == 0).float().mean().item():.0f} %"
        rows.append(row)
    return pd.DataFrame(rows).set_index("i").round(3)


def channel_statistics(seen: Seen, i: int, branch: str = "cls", level: int = 0) -> pd.DataFrame:
    """Mean and deviation of every channel, over batch and space: a row a channel and a feature.

    Features: "f_i^s", the student's; "f_i^t", the teacher's; "aligned", align(f_i^s).
    """
    student = seen.taps.student.towers[branch][i][level]
    teacher = seen.taps.teacher.towers[branch][i][level]
    features = {
        "f_i^s": student,
        "aligned": align_statistics(student, teacher),
        "f_i^t": teacher,
    }
    frames = []
    for name, feature in features.items():
        deviation, mean = torch.std_mean(feature, dim=(0, 2, 3))
        values = {"mean": mean.tolist(), "std": deviation.tolist()}
        frames.append(pd.DataFrame({"feature": name, "channel": range(len(mean)), **values}))
    return pd.concat(frames, ignore_index=True)


def distances(seen_by: Mapping[str, Seen]) -> pd.DataFrame:
    """Eq. (2)'s value on the class branch, S(r) = 1, for every student and layer index.

    Args:
        seen_by: What each student saw, by its name.

    Returns:
        Columns student, i, distance; i = "p^s" is the student's own prediction, which makes it
        eq. (1).
    """
    rows = []
    for name, seen in seen_by.items():
        taps = seen.taps
        head, count = taps.teacher_head, taps.targets.num_pos
        soft_label = head.flat_cls(taps.teacher.predictions).sigmoid()
        predictions = {i: taps.cross(i, branches=("cls",)) for i in range(head.depth + 1)}
        logits: dict[Any, Tensor] = {i: head.flat_cls(said) for i, said in predictions.items()}
        logits["p^s"] = taps.student_head.flat_cls(taps.student.predictions)
        for i, said in logits.items():
            gap = kd_quality_focal(said, soft_label)
            distance = region_mean(gap, everywhere(said), count).item()
            rows.append({"student": name, "i": i, "distance": distance})
    return pd.DataFrame(rows)


def conflict(seen: Seen, threshold: float = 0.5) -> dict[str, float]:
    """How much the assigner and the teacher disagree (sec. 3.1, as Fig. 3 counts it).

    Returns:
        ``positives``, locations given to an object; ``conflicts``, locations where target and
        teacher's score differ by more than ``threshold`` in some class; ``ratio`` of the two.
    """
    taps = seen.taps
    found = locate(
        taps.teacher_head, seen.assigned(), taps.teacher.predictions, taps.targets, taps.metas
    )
    return {
        "positives": int(found.positive.sum()),
        "conflicts": int(found.apart(threshold).sum()),
        "ratio": conflict_ratio(found, threshold),
    }


def surest_location(seen: Seen, image: int, i: int) -> pd.DataFrame:
    """All scores where the teacher is surest in an image: a row a class, sorted by p^t.

    Columns p^gt (the assigner's target), p^s, p_hat^s (from f_i^s) and p^t.
    """
    teacher = seen.teacher_scores()[image]
    place = int(teacher.amax(-1).argmax())
    columns = {
        "p^gt": seen.assigned(),
        "p^s": seen.student_scores(),
        f"p_hat^s, i = {i}": seen.cross_scores(i),
    }
    table = {name: scores[image, place].tolist() for name, scores in columns.items()}
    frame = pd.DataFrame({**table, "p^t": teacher[place].tolist()}, index=list(seen.classes))
    return frame.sort_values("p^t", ascending=False).round(3)


def gradient_table(student: Student, batch: dict[str, Any], i: int = 3) -> pd.DataFrame:
    """How strongly each loss pulls at each layer of the student's classification branch.

    Args:
        student: A student with its teacher; its weights stay as they are.
        batch: A batch with ground truth.
        i: The layer of CrossKD.

    Returns:
        A row a layer, in the order of the forward pass; a column a loss: the norm of its gradient.
    """
    pair = student.pair
    taps, detection = collect(pair, batch["inputs"], batch["data_samples"])
    losses = {
        "detection loss": _total(detection),
        "mimicking, eq. (1)": _distillation(PredictionMimicking(), taps),
        f"CrossKD, eq. (2), i = {i}": _distillation(CrossKD(i=i), taps),
    }
    layers = _layers(pair)
    table = {
        name: [_norm(loss, layer) for layer in layers.values()] for name, loss in losses.items()
    }
    return pd.DataFrame(table, index=pd.Index(layers, name="layer of the student"))


def teacher_gradients(pair: Pair) -> int:
    """How many of the teacher's weights hold a gradient; 0, as it is frozen."""
    return sum(parameter.grad is not None for parameter in pair.teacher.parameters())


def _distillation(method: Method, taps: Any) -> Tensor:
    return _total(method.losses(taps))


def _total(losses: Mapping[str, Any]) -> Tensor:
    parts = [sum(v) if isinstance(v, (list, tuple)) else v for v in losses.values()]
    return torch.stack([torch.as_tensor(part) for part in parts]).sum()


def _layers(pair: Pair) -> dict[str, nn.Module]:
    hidden = pair.student_head.tower(BRANCHES[0], 0)
    named = {f"$C_{k}$, gives $f_{k}$": conv for k, conv in enumerate(hidden, 1)}
    last = f"$C_{len(hidden) + 1}$, predicts"
    return {"neck, gives $f_0$": pair.student.neck, **named, last: pair.student.bbox_head.gfl_cls}


def _norm(loss: Tensor, layer: nn.Module) -> float:
    weights = [p for p in layer.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return sum(float(g.square().sum()) for g in gradients if g is not None) ** 0.5
