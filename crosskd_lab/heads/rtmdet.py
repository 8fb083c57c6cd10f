"""RTMDet (Lyu et al. 2022): convs shared by the levels, normalised level by level; SiLU."""

from typing import Any

from torch import Tensor, nn

from ..errors import LabError
from .base import HeadDefaults, Levels, Predictions, Targets
from .gfl import QualityAdapter


class RTMDetAdapter(QualityAdapter):
    """Towers of ``RTMDetSepBNHead``, distilled as ATSS is (no published recipe exists).

    Its towers have two hidden convs, so i = 1 is where i = 3 is of four. Distances are in pixels.
    The targets are those of its dynamic assigner, which looks at the student's predictions.
    """

    defaults = HeadDefaults(layer=1)

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if self.head.with_objectness:
            raise LabError(
                f"{type(head).__name__} multiplies its class scores by an objectness that it reads "
                "from the other tower: set with_objectness=False, as mmdet's configs do, or write "
                "an adapter whose predict_branches does so (see heads/vfnet.py)"
            )

    def tower(self, branch: str, level: int) -> Any:
        """The level's own layers; their convs are those of all levels, their norms are not."""
        return super().tower(branch, level)[level]

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Joint class and quality logits ``(N, K, H, W)``."""
        return self.head.rtm_cls[level](feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Distances to left, top, right and bottom in pixels, ``(N, 4, H, W)``."""
        reg = self.head.rtm_reg[level](feature)  # (N, 4, H, W)
        reg = reg.exp() if self.head.exp_on_reg else reg
        return reg * self.head.prior_generator.strides[level][0]

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """The dynamic assigner's result; its box targets are xyxy pixels already."""
        _, labels, label_weights, boxes, _, _ = assigner_output
        return self.targets(predictions, labels, label_weights, boxes)

    def decode(self, reg: Levels) -> Tensor:
        """The points moved by the predicted distances."""
        return self.boxes_around(self.flat(reg, 4), reg, in_strides=False)
