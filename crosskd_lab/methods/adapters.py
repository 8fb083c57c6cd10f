"""Trainable parts that methods put between student and teacher; they are never saved with it."""

from collections.abc import Iterable
from typing import cast

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
