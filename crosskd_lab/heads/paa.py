"""PAA (Kim and Lee 2020): ATSS whose positives are chosen by how well the student does on them."""

from dataclasses import replace
from typing import Any

import torch
from mmdet.models.dense_heads import paa_head

from ..errors import LabError
from .atss import ATSSAdapter
from .base import Predictions, Targets, record_calls


class PAAAdapter(ATSSAdapter):
    """Towers of ``PAAHead``, distilled as ATSS is; the IoU that it predicts is its centerness.

    PAA assigns twice: a first match by overlap gives each object its candidates; then a mixture of
    two Gaussians, fitted to the candidates' losses, keeps those of the better one. The targets are
    those of the *second* step, which the head's own losses use, so they change with the student.
    """

    def detection_losses(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own losses and what they were computed on.

        LabError without scikit-learn, which fits the mixtures of a student (a teacher needs none).
        """
        if paa_head.skm is None:
            raise LabError(
                "a PAAHead student needs scikit-learn, which fits its mixtures: "
                "pip install scikit-learn"
            )
        with record_calls(self.head, "paa_reassign") as chosen:
            losses, matched = super().detection_losses(predictions, gt_instances, metas, ignored)
        labels, label_weights, _, counts = zip(*chosen, strict=True)
        num_pos = max(int(sum(counts)), len(metas))  # as its class loss counts them
        found = replace(
            matched,
            labels=torch.stack(labels),
            label_weights=torch.stack(label_weights),
            num_pos=self.mean_over_processes(num_pos, labels[0]),
        )
        return losses, replace(found, boxes=found.boxes * found.positive[..., None])

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """The first match, image by image."""
        images = (
            torch.stack(found) for found in assigner_output[:3]
        )  # (N, P), and boxes (N, P, 4)
        return self.targets(predictions, *([found] for found in images))
