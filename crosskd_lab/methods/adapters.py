"""Trainable parts that methods put between student and teacher; they are never saved with it."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import LabError
from ..heads.base import Levels
from ..shapes import expect_same


class Pointwise(nn.ModuleList):
    """A 1x1 conv for each of so many levels, from the student's channels to the teacher's."""

    def __init__(self, student: int, teacher: int, levels: int) -> None:
        super().__init__(nn.Conv2d(student, teacher, 1) for _ in range(levels))

    def forward(self, maps: Levels) -> Levels:
        """Apply each level's conv in float32; LabError for maps of other number or width."""
        check_maps(maps, len(self), cast(nn.Conv2d, self[0]).in_channels, "the student's neck")
        return tuple(conv(m.float()) for conv, m in zip(self, maps, strict=True))


class GcBlock(nn.Module):
    """Global context block (Cao et al. 2019) as FGD has it, the identity before training.

    ``G(F) = F + V relu(LN(U sum over j of softmax_j(K F) F_j))``, K, U, V 1x1 convs, bottleneck
    C / 2. V starts at zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels, 1, 1)
        narrow = max(channels // 2, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, narrow, 1),
            nn.LayerNorm([narrow, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(narrow, channels, 1),
        )
        nn.init.kaiming_normal_(self.key.weight, mode="fan_in")
        last = cast(nn.Conv2d, self.transform[3])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))

    def forward(self, feature: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape, float32."""
        feature = feature.float()
        share = self.key(feature).flatten(2).float().softmax(-1)  # (N, 1, HW)
        context = torch.einsum("nij,ncj->nci", share, feature.flatten(2))[..., None]
        return feature + self.transform(context)


def check_maps(maps: Levels, levels: int, channels: int, whose: str) -> None:
    """Raise LabError, with what was expected, for maps that trainable parts were not made for."""
    found = [m.size(1) for m in maps]
    if found != [channels] * levels:
        raise LabError(
            f"{whose} gives maps of {found} channels, and the method was made for {levels} maps of "
            f"{channels}: set channels (and levels) in the methods entry to the neck's"
        )


def matched(student: Levels, teacher: Levels, remedy: str) -> Iterable[tuple[Tensor, Tensor]]:
    """Pairs of maps of one shape, student's first, the teacher's detached, in float32; else
    LabError.
    """
    for s, t in zip(student, teacher, strict=True):
        expect_same(s, t, "neck maps of student and teacher", remedy)
        yield s.float(), t.detach().float()
