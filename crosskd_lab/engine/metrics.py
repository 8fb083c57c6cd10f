"""What a validation measures: COCO's AP, and Fig. 6's distances to teacher and truth."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from faster_coco_eval import COCO, COCOeval_faster
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import METRICS
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor

from ..classes import category_ids
from ..conflict import assigned, is_dynamic
from ..heads.base import Targets
from ..heads.dense import HeadAdapter
from ..maps import scores_of
from ..pair import Pair
from .hooks import bare

NAMES = ("AP", "AP50", "AP75", "APS", "APM", "APL")


def average_precision(
    truth: COCO, detections: list[dict], areas: tuple[float, float] = (32, 96)
) -> dict[str, float]:
    """COCO AP of a list of detections: the names in ``NAMES`` in points (0 ... 100).

    The numbers are pycocotools', to 1e-12, without those that no object of such an area lets
    measure. ``detections`` are in COCO's result format, boxes xywh; ``areas`` the sides, in pixels,
    of the squares that part small, medium and large objects.
    """
    with redirect_stdout(io.StringIO()):
        if detections:
            found = truth.loadRes(detections)
        else:  # which loadRes cannot read
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval_faster(truth, found, "bbox")
        small, large = (side**2 for side in areas)
        evaluation.params.areaRng = [[0, 1e10], [0, small], [small, large], [large, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = zip(NAMES, evaluation.stats[:6].tolist(), strict=True)
    return {name: 100 * value for name, value in values if value >= 0}


@METRICS.register_module()
class BoxAP(BaseMetric):
    """AP of a detector on a COCO-format set; areas as for :func:`average_precision`."""

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


def l1_distance(scores: Tensor, reference: Tensor, num_pos: float) -> float:
    """L1 distance between two score maps ``(N, P, K)``, per positive location (0 counts as 1).

    The paper's 'average L1 distance' names no denominator; a mean over all locations would be the
    same curve on a scale that shrinks with the share of background.
    """
    return float((scores - reference).abs().sum() / max(num_pos, 1.0))


def l1_parts(scores: Tensor, reference: Tensor, positive: Tensor) -> tuple[float, float]:
    """The sum of absolute differences at ``positive`` locations ``(N, P)``, and that at all others,
    of scores ``(N, P, K)``; together what :func:`l1_distance` adds up.

    Background is nearly all of an image, and its target is 0 in every class: a student that scores
    it low has a small distance wherever the objects are.
    """
    apart = (scores - reference).abs().sum(-1)
    return float(apart[positive].sum()), float(apart[~positive].sum())


class ScoreDistances:
    """Measures L1(p^s, p^t) and L1(p^s, p^gt) on a fixed sample of preprocessed images.

    The teacher is frozen, so its scores are computed once and kept. So is the answer of an
    assigner that looks at no predictions. Ground truth is in input pixels.
    """

    def __init__(self, pair: Pair, batches: Sequence[dict[str, Any]]) -> None:
        self.pair, self.batches = pair, batches
        self.teacher_scores: list[Tensor] = []
        self.targets: list[Targets | None] = [None] * len(batches)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """``l1_teacher`` and ``l1_truth``, each per positive location, over all batches.

        Call it in evaluation mode. ``l1_truth`` is the sum of ``l1_truth_positive``, at positive
        locations, and ``l1_truth_background``, at all others. Heads with unlike numbers of priors a
        location are compared at locations, by their priors' largest scores; ``l1_teacher`` is left
        out where their levels differ, and nothing is measured without a positive location.
        """
        head, teacher_head = self.pair.student_head, self.pair.teacher_head
        if not self.teacher_scores:
            necks = (self.pair.teacher.extract_feat(batch["inputs"]) for batch in self.batches)
            said = (teacher_head.forward_towers(neck).predictions for neck in necks)
            self.teacher_scores = [scores_of(teacher_head, prediction) for prediction in said]
        to_teacher = at_positives = at_background = positives = 0.0
        comparable = True
        for k, teacher in enumerate(self.teacher_scores):
            scores, truth, positive = self._look(k)
            sides = scores, teacher
            if scores.shape != teacher.shape:
                sides = _by_location(scores, head), _by_location(teacher, teacher_head)
            comparable = comparable and sides[0].shape == sides[1].shape
            if comparable:
                to_teacher += l1_distance(*sides, 1)
            parts = l1_parts(scores, truth, positive)
            at_positives, at_background = at_positives + parts[0], at_background + parts[1]
            positives += float(positive.sum())
        if not positives:
            return {}
        measured = {
            "l1_truth": (at_positives + at_background) / positives,
            "l1_truth_positive": at_positives / positives,
            "l1_truth_background": at_background / positives,
        }
        return {"l1_teacher": to_teacher / positives, **measured} if comparable else measured

    def _look(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The student's scores p^s of a batch, the targets p^gt that its assigner gives, both
        ``(N, P, K)`` in [0, 1], and which locations ``(N, P)`` are positive."""
        head, batch = self.pair.student_head, self.batches[k]
        truths, ignored, metas = unpack_gt_instances(batch["data_samples"])
        neck = self.pair.student.extract_feat(batch["inputs"])
        prediction = head.forward_towers(neck).predictions
        targets = self.targets[k] or assigned(head, prediction, truths, metas, ignored)
        if targets.quality is None and not is_dynamic(head):
            self.targets[k] = targets
        truth = head.soft_labels(prediction, targets)
        return scores_of(head, prediction), truth, targets.positive


def _by_location(scores: Tensor, head: HeadAdapter) -> Tensor:
    """The largest score of a location's priors, ``(N, P / A, K)``."""
    return scores.unflatten(1, (-1, head.anchors)).amax(2)


@HOOKS.register_module()
class Distances(Hook):
    """Adds ``l1_teacher``, ``l1_truth`` and its parts on the first validation images to the
    metrics.

    Does nothing without a teacher, or for a head that is not dense. ``images``, how many to measure
    on, is rounded up to whole batches.
    """

    priority = "NORMAL"  # before RunMetrics writes the row

    def __init__(self, images: int = 64) -> None:
        self.images = images
        self._distances: ScoreDistances | None = None

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Measure, on the model that has just been validated (in evaluation mode)."""
        pair = getattr(bare(runner.model), "pair", None)
        if metrics is None or pair is None or pair.student_head.family != "dense":
            return
        if self._distances is None:
            loader, prepare = runner.val_loop.dataloader, bare(runner.model).data_preprocessor
            size, whole = loader.batch_size or 1, len(loader.dataset)
            count = min(-(-min(self.images, whole) // size) * size, whole)
            samples = [loader.dataset[i] for i in range(count)]
            batches = [samples[i : i + size] for i in range(0, count, size)]
            ready = [prepare(pseudo_collate(batch)) for batch in batches]
            self._distances = ScoreDistances(pair, ready)
        metrics.update(self._distances.measure())
