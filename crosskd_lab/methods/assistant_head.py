"""HEAD (Wang et al., ECCV 2022): a copy of the teacher's head trains on the student's features."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LabError
from ..heads import adapter_for
from ..heads.base import BRANCHES, Levels, total
from ..heads.dense import HeadAdapter
from ..losses import full_precision
from ..taps import Taps
from .base import Method


class AssistantHead(Method):
    """The assistant's own detection losses, and ``weight * mean of (phi(F^a) - F^t)^2`` a branch.

    Paper: HEAD: HEtero-Assists Distillation for Heterogeneous Object Detectors, ECCV 2022,
    arXiv 2207.05345. Related work, not a row of Table 5.

    Idea: where the heads differ in kind, do not compare them. A copy of the *teacher's* head, the
    assistant, sits on the student's neck, starts from the teacher's weights, learns to detect from
    there, and imitates the teacher's hidden features, its own kind. Its gradient teaches neck and
    backbone; it is thrown away with the training. CrossKD meets the same difficulty with the
    teacher's head *frozen*: nothing beside the student learns, and the teacher's predictions, not
    the annotations, are what goes through it.

    Needs: ground truth; the teacher's levels and neck channels at the student's neck.

    Symbols: F^t = taps.teacher.towers[branch], the last hidden layer, per level (N, C, H, W);
    F^a, the assistant's on the student's neck; phi = self.adapters, a 1x1 conv a branch that all
    levels share.

    Carried over: HEAD's weight belongs to K = 80; for which batch is not known to us. The head
    divides its own losses by its positives, imitation is a mean, and no class enters.

    Unverified: HEAD's teacher is a two-stage one, its assistant an RoI head on the student's
    proposals, and its features those of two shared fully connected layers. Here teacher and
    assistant are dense and the features are the last of the towers. phi starts as the identity, and
    there is neither HEAD's warm-up of 2,000 iterations nor its third term, between student and
    teacher, which needs proposals.

    Args:
        weight: Of the imitation in each branch; 2 in HEAD.
        detection: Of the assistant's detection losses.
    """

    def __init__(self, weight: float = 2.0, detection: float = 1.0) -> None:
        super().__init__()
        self.weight, self.detection = weight, detection
        self.assistant: Any = None
        self.adapters = nn.ModuleDict()

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Copy the teacher's head; LabError unless it fits the student's neck."""
        ours, theirs = (head.channels("cls", 0) for head in (student, teacher))
        if ours != theirs:
            raise LabError(
                f"AssistantHead puts the teacher's head ({theirs} channels) on the student's neck "
                f"({ours}): give both necks the same out_channels"
            )
        self.assistant = deepcopy(teacher.head).requires_grad_(True).train()
        self.reader = adapter_for(self.assistant)
        self.reader.class_order = teacher.class_order
        for branch in BRANCHES:
            channels = teacher.channels(branch, teacher.depth)
            conv = nn.Conv2d(channels, channels, 1)
            nn.init.dirac_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.adapters[branch] = conv

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_assistant_<name>`` of the head's own, and ``loss_assistant_<branch>_feature``."""
        if self.assistant is None:
            raise LabError("AssistantHead copies the teacher's head: attach it to a pair first")
        neck = tuple(map(full_precision, taps.student.neck))  # the head is float32
        walked = self.reader.forward_towers(neck)
        own, _ = self.reader.detection_losses(
            walked.predictions, taps.gt_instances, taps.metas, taps.ignored
        )
        losses = {
            f"loss_assistant_{name.removeprefix('loss_')}": self.detection * total(value)
            for name, value in own.items()
            if "loss" in name
        }
        for branch in BRANCHES:
            error = self._error(branch, walked.towers[branch][-1], taps.teacher.towers[branch][-1])
            losses[f"loss_assistant_{branch}_feature"] = self.weight * error
        return losses

    def _error(self, branch: str, assistant: Levels, teacher: Levels) -> Tensor:
        """The mean over all locations of all levels, and over channels."""
        pairs = [
            (self.adapters[branch](a.float()), t.float())
            for a, t in zip(assistant, teacher, strict=True)
        ]
        total = torch.stack([F.mse_loss(a, t, reduction="sum") for a, t in pairs]).sum()
        return total / sum(t.numel() for _, t in pairs)
