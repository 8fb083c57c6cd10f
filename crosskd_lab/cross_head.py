"""Sec. 3.2 on one page: the student's feature f_i^s goes through the rest of the teacher's head.

    p_hat^s = C_n^t( ... C_{i+1}^t( relu(align(f_i^s)) ))        i > 0
    p_hat^s = C_n^t( ... C_1^t( align(f_0^s) ))                  i = 0

Everything works on plain tensors; nothing in the teacher changes and no gradient reaches its
weights, but gradient does flow *through* them to f_i^s.
"""

from collections.abc import Callable, Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .errors import LabError, one_of
from .heads.base import BRANCHES, Levels, Predictions, Towers
from .heads.dense import HeadAdapter
from .losses import channel_statistics, full_precision
from .shapes import expect_same

Align = Callable[[Tensor, Tensor], Tensor]


def align_statistics(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Give the student's map ``(N, C, H, W)`` the teacher's mean and deviation, channel by channel.

    Not in the paper's text; the authors' code does it before delivery. Statistics run over batch
    and space with the unbiased deviation (+ ``eps``), so they depend on the batch (that of all
    processes). Gradient flows through the student's; of f_i^t only the statistics are used.
    LabError where the maps differ in shape.
    """
    expect_same(student, teacher, "features at the tap", "heads of different width need an adapter")
    deviation, mean = channel_statistics(student)  # (1, C, 1, 1) each
    wanted, centre = channel_statistics(teacher.detach())  # (1, C, 1, 1) each
    aligned = (student - mean) / (deviation + eps) * wanted + centre  # (N, C, H, W)
    return aligned.to(student.dtype)


class ConvAlign(nn.Module):
    """Carry f_i^s to the teacher's width by a learned 1x1 conv: ``align(conv(f_i^s), f_i^t)``.

    For heads of different width: channels of f_i^s and of f_i^t. The conv learns with the student
    from the distillation loss alone and is not saved with it. ``then`` is a name in
    :data:`ALIGNMENTS` for what follows the conv.
    """

    def __init__(self, student: int, teacher: int, then: str = "statistics") -> None:
        super().__init__()
        self.conv = nn.Conv2d(student, teacher, 1)
        nn.init.orthogonal_(self.conv.weight)  # keeps the energy of what it carries
        self.then = _named(then)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """f_i^s ``(N, C_s, H, W)`` in the width of f_i^t ``(N, C_t, H, W)``."""
        return self.then(self.conv(full_precision(student)), teacher)


def unsaid(align: Align) -> Align:
    """``align`` of a student that says nothing: its map ``(N, C, H, W)`` is its mean everywhere.

    Conv and statistics are linear in the map, so the mean is taken after them.
    """

    def flat(student: Tensor, teacher: Tensor) -> Tensor:
        mean = channel_statistics(align(student, teacher))[1]  # (1, C, 1, 1)
        return mean.to(student.dtype).expand_as(teacher)

    return flat


def align_nothing(student: Tensor, teacher: Tensor) -> Tensor:
    """Deliver f_i^s ``(N, C, H, W)`` as it is: the paper's text."""
    expect_same(student, teacher, "features at the tap", "heads of different width need an adapter")
    return student


ALIGNMENTS: dict[str, Align] = {"statistics": align_statistics, "none": align_nothing}


def _named(align: str | Align) -> Align:
    """The alignment of this name; LabError for an unknown one."""
    if not isinstance(align, str):
        return align
    one_of("align", align, ALIGNMENTS)
    return ALIGNMENTS[align]


def delivered_layer(student: HeadAdapter, teacher: HeadAdapter, i: int) -> int:
    """The student's layer that is delivered into the teacher's conv i+1; LabError for no such
    layer.

    It is i where both towers are equally deep. Otherwise layers are counted from the prediction
    end: as many hidden convs of the teacher follow as the student has after its own layer.
    """
    teacher.check_layer(i)
    own = i + student.depth - teacher.depth
    if own < 0:
        raise LabError(
            f"layer index i = {i} has no counterpart: the teacher has {teacher.depth} hidden "
            f"convs, the student {student.depth}, and layers are counted from the prediction end, "
            f"so i must be in {teacher.depth - student.depth} ... {teacher.depth}"
        )
    return own


def deliver(
    student: Levels,
    teacher: Levels,
    i: int,
    align: str | Align = "statistics",
    rectify: Callable[[Tensor], Tensor] = F.relu,
) -> Levels:
    """What enters the teacher's conv i+1: the aligned f_i^s, rectified for i > 0.

    ``student`` and ``teacher`` are f_i per level, ``(N, C, H, W)``; f_0 is the neck feature, which
    no activation has touched. ``align`` is a name in :data:`ALIGNMENTS`, or a function of the two;
    ``rectify`` is the teacher's, see :attr:`HeadAdapter.rectify`.
    """
    align = _named(align)
    aligned = tuple(align(s, t) for s, t in zip(student, teacher, strict=True))
    return tuple(rectify(f) for f in aligned) if i > 0 else aligned


def cross_head(
    teacher_head: HeadAdapter,
    student: Towers,
    teacher: Towers,
    i: int,
    align: str | Align | Mapping[str, Align] = "statistics",
    branches: Sequence[str] = BRANCHES,
    own: int | None = None,
) -> Predictions:
    """The cross-head predictions p_hat^s of eq. (2), in the teacher's space.

    Args:
        teacher_head: Adapter of the frozen teacher's head.
        student, teacher: Walks on the same images, ``student[branch][i][level]``.
        i: 0 ... depth of the teacher's head.
        align: See :func:`deliver`; or one for each branch, by its name.
        branches: "cls", "reg" or both (Tab. 3); a branch that is not asked for is empty.
        own: The student's layer to deliver, where its tower is of another depth; i if None.

    Raises:
        LabError: if i is out of range, naming the range.
    """
    teacher_head.check_layer(i)
    last = {}
    own = i if own is None else own
    for branch in branches:
        by_branch = align[branch] if isinstance(align, Mapping) else align
        entering = deliver(
            student[branch][own], teacher[branch][i], i, by_branch, teacher_head.rectify
        )
        last[branch] = teacher_head.forward_from(branch, entering, i)  # (N, C, H_l, W_l) a level
    return teacher_head.predict(last)
