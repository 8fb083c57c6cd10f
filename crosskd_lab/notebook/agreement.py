"""Where the assigners of two heads agree: which locations each gives to an object.

Both heads see the same images and boxes. A location with several priors is positive if one of them
is. Locations are matched by level and cell; heads may place them half a stride apart in a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..errors import LabError
from ..heads.base import Levels
from ..heads.dense import HeadAdapter
from ..maps import by_location, centres, level_sizes
from ..pair import Pair


@dataclass(frozen=True)
class Agreement:
    """Positive locations of both heads on a batch, level by level.

    Attributes:
        strides: Of every level, in pixels.
        student: Per level ``(N, H_l, W_l)`` bool.
        teacher: The same of the teacher's assigner.
        where: The student's locations, per level ``(H_l, W_l, 2)``, x and y in pixels.
        where_teacher: The teacher's.
    """

    strides: tuple[int, ...]
    student: Levels
    teacher: Levels
    where: Levels
    where_teacher: Levels

    def table(self) -> pd.DataFrame:
        """A row a level and one for all: locations positive for both, for one alone; their share.

        ``agreement`` is both over any; NaN where no location is positive.
        """
        rows = {}
        for stride, ours, theirs in zip(self.strides, self.student, self.teacher, strict=True):
            rows[f"stride {stride}"] = {
                "both": int((ours & theirs).sum()),
                "student alone": int((ours & ~theirs).sum()),
                "teacher alone": int((theirs & ~ours).sum()),
            }
        frame = pd.DataFrame(rows).T
        frame.loc["all levels"] = frame.sum()
        frame["agreement"] = frame["both"] / frame.sum(axis=1).where(lambda total: total > 0)
        return frame


@torch.no_grad()
def find_agreement(pair: Pair, inputs: Tensor, data_samples: list[Any]) -> Agreement:
    """Run both heads' assigners on a batch.

    Args:
        pair: Two detectors with dense heads of the same strides.
        inputs: ``(N, 3, H, W)``, normalised.
        data_samples: mmdet's samples with ground truth.

    Raises:
        LabError: for pyramids of unlike strides.
    """
    ours, theirs = pair.student_head, pair.teacher_head
    if ours.strides != theirs.strides:
        raise LabError(
            f"locations cannot be matched: strides {ours.strides} against {theirs.strides}"
        )
    student, where = positives(ours, pair.student, inputs, data_samples)
    teacher, where_teacher = positives(theirs, pair.teacher, inputs, data_samples)
    return Agreement(ours.strides, student, teacher, where, where_teacher)


def positives(
    head: HeadAdapter, detector: Any, inputs: Tensor, data_samples: list[Any]
) -> tuple[Levels, Levels]:
    """Per level ``(N, H_l, W_l)``, whether a location is positive, and ``(H_l, W_l, 2)``, where."""
    walked, _, targets = head.student_step(detector, inputs, data_samples, "post_relu")
    maps = walked.predictions.cls
    flat = by_location(targets.positive, maps).any(-1).split(level_sizes(maps), 1)
    found = tuple(p.unflatten(1, m.shape[-2:]) for p, m in zip(flat, maps, strict=True))
    return found, centres(head, maps)
