"""ATSS (Zhang et al. 2020): one anchor a location, and a centerness beside the box."""

from torch import Tensor

from .base import HeadDefaults, Levels
from .retinanet import DeltaAdapter


class ATSSAdapter(DeltaAdapter):
    """Towers of ``ATSSHead``; regression distils by GIoU, centerness by cross-entropy."""

    defaults = HeadDefaults(
        layer=3, cls_weight=1.0, reg_weight=1.0, centerness_weight=1.0, neck_weight=1.0
    )

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, K, H, W)``."""
        return self.head.atss_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Deltas ``(N, 4, H, W)``."""
        return self.head.scales[level](self.head.atss_reg(feature)).float()

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Centerness logits ``(N, 1, H, W)``, read from the regression tower."""
        if "reg" not in last:
            return None
        return tuple(self.head.atss_centerness(feature) for feature in last["reg"])
