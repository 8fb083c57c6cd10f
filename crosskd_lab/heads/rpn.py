"""The region proposal network (Ren et al. 2015) as the dense head it is: one class, few convs."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .retinanet import RetinaAdapter


class RPNAdapter(RetinaAdapter):
    """Towers of ``RPNHead``; both branches share their convs, so f_1 is the same in both."""

    def tower(self, branch: str, level: int) -> Sequence[Any]:
        """The shared hidden convs; the usual one is a bare conv whose ReLU stock applies itself."""
        convs = self.head.rpn_conv
        return list(convs) if isinstance(convs, nn.Sequential) else [_Rectified(convs)]

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Objectness logits ``(N, A, H, W)``."""
        return self.head.rpn_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Deltas ``(N, A * 4, H, W)``."""
        return self.head.rpn_reg(feature)


class _Rectified:
    """A bare conv in the words of a ConvModule, so that the one walk can read it."""

    order = ("conv", "norm", "act")
    with_activation = True
    activate = nn.ReLU()

    def __init__(self, conv: nn.Module) -> None:
        self.conv: Any = conv

    def __call__(self, x: Tensor, activate: bool = True) -> Tensor:
        return self.activate(self.conv(x)) if activate else self.conv(x)
