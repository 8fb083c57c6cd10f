"""Assigners asked alone give what they give within the loss."""

import pytest
import torch

from crosskd_lab.conflict import assigned, blank_predictions

BOXES = [[4.0, 4.0, 60.0, 50.0], [70.0, 20.0, 90.0, 44.0]]


@pytest.mark.parametrize("family", ["gfl", "retinanet", "fcos", "atss"])
def test_an_assigner_alone_answers_as_within_the_loss(mixed_pair, sample, family):
    pair = mixed_pair(family, family)
    made = sample(BOXES, [1, 0], size=128)
    head = pair.student_head
    said = head.forward_towers(pair.student.extract_feat(torch.rand(1, 3, 128, 128))).predictions
    given = (said, [made.gt_instances], [made.metainfo])
    losses, whole = head.detection_losses(*given)
    alone = assigned(head, *given)
    assert losses and whole.positive.any()
    for name in ("labels", "label_weights", "boxes"):
        assert torch.equal(getattr(alone, name), getattr(whole, name))
    assert alone.num_pos == whole.num_pos
    assert head.assigns not in vars(head.head), "the head is left as it was"


def test_no_loss_is_computed_on_the_way(mixed_pair, sample, monkeypatch):
    pair = mixed_pair("gfl", "gfl")
    made = sample(BOXES, [1, 0], size=128)
    blank = blank_predictions(
        pair.student_head,
        tuple(torch.zeros(1, 2, 128 // s, 128 // s) for s in (8, 16, 32, 64, 128)),
    )
    monkeypatch.setattr(pair.student.bbox_head, "loss_cls", None)
    found = assigned(pair.student_head, blank, [made.gt_instances], [made.metainfo])
    assert found.positive.any()
