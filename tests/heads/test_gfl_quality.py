"""The label of a score that means overlap is the overlap."""

import pytest
import torch

from crosskd_lab.heads import adapter_for


def iou(a, b):
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    inner = float((high - low).clamp(min=0).prod())
    return inner / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - inner)


@pytest.mark.parametrize("family", ["gfl", "vfnet", "rtmdet"])
def test_soft_labels_are_the_overlap_at_the_objects_class(detector, batch, family):
    changes = {"rtmdet": dict(exp_on_reg=True)}.get(family, {})  # boxes with an inside
    model = detector(family, **changes)
    adapter = adapter_for(model.bbox_head)
    said = adapter.forward_towers(model.extract_feat(batch[0])).predictions
    gt = [sample.gt_instances for sample in batch[1]]
    metas = [sample.metainfo for sample in batch[1]]
    _, targets = adapter.detection_losses(said, gt, metas)
    soft, boxes = adapter.soft_labels(said, targets, metas), adapter.decode(said.reg, metas)
    assert not soft.requires_grad and not soft[~targets.positive].any()
    chosen = targets.positive.nonzero()
    assert len(chosen) > 3
    for image, prior in chosen.tolist():
        row, label = soft[image, prior], targets.labels[image, prior]
        wanted = iou(boxes[image, prior].detach(), targets.boxes[image, prior])
        assert row[label].item() == pytest.approx(wanted, abs=1e-4)
        assert row.sum() == row[label]
    assert soft.any()
