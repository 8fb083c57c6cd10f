"""DDOD (Chen et al. 2021): ATSS with an assigner for each branch and the IoU beside the box."""

from .atss import ATSSAdapter
from .base import Levels


class DDODAdapter(ATSSAdapter):
    """Towers of ``DDODHead``, distilled as ATSS is (no published recipe exists).

    Targets are those of its classification assigner. The IoU that it predicts stands where ATSS
    has the centerness.
    """

    assigns = "get_cls_targets"

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """IoU logits ``(N, 1, H, W)``, read from the regression tower."""
        if "reg" not in last:
            return None
        return tuple(self.head.atss_iou(feature) for feature in last["reg"])
