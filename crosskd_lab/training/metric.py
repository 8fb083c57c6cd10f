"""COCO average precision by pycocotools, in points and unrounded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..classes import category_ids

NAMES = ("AP", "AP50", "AP75", "APS", "APM", "APL")


def average_precision(
    truth: COCO, detections: list[dict], areas: tuple[float, float] = (32, 96)
) -> dict[str, float]:
    """COCO AP of a list of detections.

    Args:
        truth: The annotations.
        detections: COCO's result format: image_id, category_id, bbox (xywh), score.
        areas: Sides, in pixels, of the squares that part small, medium and large objects.

    Returns:
        The names in ``NAMES`` in points (0 ... 100), without those that cannot be measured because
        no object has such an area.
    """
    with redirect_stdout(io.StringIO()):
        if detections:
            found = truth.loadRes(detections)
        else:  # which loadRes cannot read
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        small, large = (side**2 for side in areas)
        evaluation.params.areaRng = [[0, 1e10], [0, small], [small, large], [large, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = zip(NAMES, evaluation.stats[:6].tolist(), strict=True)
    return {name: 100 * value for name, value in values if value >= 0}


@METRICS.register_module()
class BoxAP(BaseMetric):
    """AP of a detector on a COCO-format set.

    Args:
        annotations: The annotation file.
        areas: See :func:`average_precision`.
    """

    default_prefix = None

    def __init__(self, annotations: str, areas: Sequence[float] = (32, 96), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with redirect_stdout(io.StringIO()):
            self.truth = COCO(annotations)
        self.file = annotations
        self.areas = (areas[0], areas[1])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what was found in each image, in the image's own pixels."""
        for sample in data_samples:
            found = sample["pred_instances"]
            boxes = found["bboxes"].cpu().clone()
            boxes[:, 2:] -= boxes[:, :2]
            labels, scores = found["labels"].tolist(), found["scores"].tolist()
            self.results.append((sample["img_id"], boxes.tolist(), labels, scores))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """AP over all images."""
        ids = category_ids(self.dataset_meta["classes"], self.truth.dataset, self.file)
        detections = [
            dict(image_id=image, category_id=ids[label], bbox=box, score=score)
            for image, boxes, labels, scores in results
            for box, label, score in zip(boxes, labels, scores, strict=True)
            if ids[label] is not None  # of a class that the set does not judge
        ]
        return average_precision(self.truth, detections, self.areas)
