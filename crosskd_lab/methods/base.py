"""What a distillation method is: tensors in, named losses out."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import one_of
from ..heads.base import BRANCHES, Levels
from ..heads.dense import HeadAdapter
from ..taps import Taps


class Method(nn.Module):
    """One distillation method for heads of its ``families``; subclass it in a file of its own.

    Parameters and modules that a method registers train with the student and are never saved
    with it. Families are kinds of heads, see :mod:`crosskd_lab.heads.base`.
    """

    families: ClassVar[tuple[str, ...]] = ("dense",)
    fixed_shapes: ClassVar[bool] = False
    """Whether its losses leave ``taps.gt_instances`` and ``taps.ignored`` alone and wait for no
    number: then a GPU can record the step once and play it again, with :meth:`measures` only for
    methods that have parameters. Each class says so for itself."""

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Called once, when both detectors are built: check that they fit, create trained parts.

        LabError, with the remedy, where this method cannot serve the pair.
        """

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """Named scalar losses, weights included.

        Names begin with ``loss_``, and only losses do: the engine adds up every entry whose name
        contains "loss".
        """
        raise NotImplementedError

    def measures(self, taps: Taps) -> dict[str, Tensor]:
        """Named scalars beside the losses, asked for at logged steps alone; no name has "loss"."""
        return {}

    def region_map(self, taps: Taps) -> Levels:
        """How much a method weighs each location, ``(N, H_l, W_l)`` a level; here all alike."""
        return tuple(torch.ones_like(m[:, 0], dtype=torch.float32) for m in taps.teacher.neck)


def levels_of(taps: Taps, where: str, i: int) -> tuple[Levels, Levels]:
    """The student's and the teacher's maps ``(N, C, H, W)`` at the "neck", or f_i of "cls" or
    "reg".
    """
    one_of("where", where, ("neck", *BRANCHES))
    if where == "neck":
        return taps.student.neck, taps.teacher.neck
    taps.student_head.check_layer(i)
    taps.teacher_head.check_layer(i)
    return taps.student.towers[where][i], taps.teacher.towers[where][i]


def split_levels(flat: Tensor, levels: Levels) -> Levels:
    """``(N, P, ...)`` per prior to ``(N, H_l, W_l, A, ...)`` per level of maps ``(N, C, H_l,
    W_l)``.
    """
    sizes = [(m.shape[-2], m.shape[-1]) for m in levels]
    a = flat.size(1) // sum(h * w for h, w in sizes)
    parts = flat.split([h * w * a for h, w in sizes], dim=1)  # (N, H_l * W_l * A, ...) a level
    return tuple(part.unflatten(1, (*size, a)) for part, size in zip(parts, sizes, strict=True))
