"""GID (Dai et al., CVPR 2021): imitate where student and teacher disagree most."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ..heads.base import Levels
from ..shapes import expect_same
from ..taps import Taps
from .base import split_levels
from .imitation import Imitation


class GID(Imitation):
    """``weight * sum over levels of mean over GI of (F^s - F^t)^2``, GI = general instances.

    Paper: General Instance Distillation for Object Detection, arXiv 2103.02340. Table 5's number
    belongs to LD's dense variant (arXiv 2102.12252), which is this: the feature term on points.

    Idea: an instance is worth imitating where the two models disagree, whether or not the
    annotations call it positive. ``g = max over classes of |sigma(z^t) - sigma(z^s)|``; the box
    is that of the model that scores the class higher; NMS keeps the ``count`` largest g of every
    image and level.

    Needs: predictions of both heads on the same priors; neck features of equal channels; of the
    ground truth only whether a level has a positive. Nothing to train.

    Symbols: g, box = disagreement(...), (N, P) and (N, P, 4); GI = general_instances, per level
    (N, H, W); F^s, F^t = neck features (N, C, H, W), single vectors at the chosen locations.

    Carried over: LD's weight belongs to two images a process, K = 80 and 12 epochs. Its code takes
    the ten largest g a level of its two images, in one NMS over both that lets images suppress each
    other. Ten of a batch of 16 would be the oddest alone; so every image gives five a level by
    itself, and the mean over them is that of any batch. Classes enter by their largest difference
    alone, whatever K.

    Unverified: the relation term and the response term of the original, on RoI features, are not
    part of the dense variant.

    Args:
        weight: 2 in LD's code.
        count: Instances a level of each image, 5.
    """

    name = "gid"

    def __init__(self, weight: float = 2.0, count: int = 5) -> None:
        super().__init__(weight)
        self.count = count

    @torch.no_grad()
    def masks(self, taps: Taps) -> Levels:
        """Locations of the general instances, ``(N, H_l, W_l)`` bool a level.

        LabError if the heads do not predict at the same priors.
        """
        ours, theirs = taps.student_head, taps.teacher_head
        gain, boxes = disagreement(
            ours.flat_cls(taps.student.predictions),
            theirs.flat_cls(taps.teacher.predictions),
            ours.decode(taps.student.predictions.reg),
            theirs.decode(taps.teacher.predictions.reg),
        )
        neck = taps.student.neck
        masks = []
        for g, b in zip(split_levels(gain, neck), split_levels(boxes, neck), strict=True):
            # of (N, H, W, A) and (N, H, W, A, 4)
            chosen = general_instances(g.flatten(1), b.flatten(1, 3), self.count)
            masks.append(chosen.view_as(g).any(-1))  # (N, H, W)
        return tuple(masks)


def disagreement(
    student: Tensor, teacher: Tensor, student_boxes: Tensor, teacher_boxes: Tensor
) -> tuple[Tensor, Tensor]:
    """How far the models are apart at each prior, and whose box stands for it.

    Of class logits ``(N, P, K)`` and boxes ``(N, P, 4)`` of both: g ``(N, P)``, the largest
    difference of one class's score, and the boxes ``(N, P, 4)`` of the model that scores that class
    higher, in float32.
    """
    expect_same(student, teacher, "class predictions", "GID needs heads of the same priors")
    difference = teacher.float().sigmoid() - student.float().sigmoid()  # (N, P, K)
    apart = difference.gather(-1, difference.abs().argmax(-1, keepdim=True))  # (N, P, 1)
    return apart.abs()[..., 0], torch.where(apart > 0, teacher_boxes, student_boxes).float()


def general_instances(
    gain: Tensor, boxes: Tensor, count: int = 10, threshold: float = 0.3
) -> Tensor:
    """GID's selection (Dai et al. 2021): greedy NMS that stops after ``count`` boxes, ``(B, M)``
    bool.

    ``gain`` ``(B, M)`` is the disagreement of student and teacher, ``boxes`` are ``(B, M, 4)``. It
    costs count * M overlaps where a full NMS would need M * M.
    """
    left, chosen = gain.float().clone(), torch.zeros_like(gain, dtype=torch.bool)
    for _ in range(min(count, gain.size(1))):
        value, best = left.max(1, keepdim=True)  # (B, 1) each
        chosen.scatter_(1, best, chosen.gather(1, best) | (value > -torch.inf))
        winner = boxes.gather(1, best[..., None].expand(-1, -1, 4))  # (B, 1, 4)
        covered = bbox_overlaps(winner, boxes)[:, 0] > threshold  # (B, M)
        left.masked_fill_(covered, -torch.inf).scatter_(1, best, -torch.inf)
    return chosen
