"""Methods that only tests need; configs name them as ``toy_methods.Adapted``."""

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn

from crosskd_lab.methods.base import Method
from crosskd_lab.taps import Taps


class Adapted(Method):
    """Imitation through a trainable scale and a random mask: what must survive a resume."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(64, 1, 1))

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        student, teacher = taps.student.neck[0], taps.teacher.neck[0]
        mask = torch.rand_like(student[:, :1]) > 0.5
        return {"loss_adapted": ((self.scale * student - teacher).square() * mask).mean()}


class Exploding(Method):
    """A loss that stops being finite at a given call, in every process or in one."""

    def __init__(self, at: int, value: str, rank: int | None = None) -> None:
        super().__init__()
        self.at, self.value, self.calls = at, float(value), 0
        self.here = rank in (None, get_rank())

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        self.calls += 1
        worth = self.value if self.here and self.calls == self.at else 0.0
        return {"loss_exploding": worth * taps.student.neck[0].mean().abs()}
