"""GID by hand: who disagrees, what is chosen, what is compared."""

from dataclasses import replace

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.heads.base import Predictions
from crosskd_lab.methods.gid import GID, disagreement, general_instances

OURS, THEIRS = torch.zeros(1, 1, 4), torch.ones(1, 1, 4)


def logits(*scores):
    return torch.tensor(scores).logit().reshape(1, 1, -1)


def test_the_class_of_largest_difference_decides():
    gain, box = disagreement(logits(0.6, 0.5, 0.2), logits(0.1, 0.7, 0.2), OURS, THEIRS)
    assert gain.item() == pytest.approx(0.5)  # class 0, where the student scores higher
    assert torch.equal(box, OURS)
    gain, box = disagreement(logits(0.6, 0.5, 0.2), logits(0.5, 0.7, 0.2), OURS, THEIRS)
    assert gain.item() == pytest.approx(0.2) and torch.equal(box, THEIRS)


def test_heads_of_other_priors_are_refused():
    with pytest.raises(LabError, match="GID needs heads of the same priors"):
        disagreement(torch.zeros(1, 1, 3), torch.zeros(1, 9, 3), OURS, THEIRS)


@pytest.fixture
def two_images(hand):
    """Two images of two cells whose boxes coincide across images; differences .4 .1 and .3 .2."""
    scores = torch.tensor([[0.9, 0.6], [0.8, 0.7]])
    boxes = torch.tensor([[0.0, 0, 8, 8], [20.0, 0, 28, 8]]).mT.reshape(1, 4, 1, 2)
    boxes = boxes.repeat(2, 1, 1, 1)
    taps = hand(torch.zeros(2, 3, 1, 2), torch.ones(2, 3, 1, 2), ((), ()))
    says = [
        Predictions((p.logit().reshape(2, 1, 1, 2),), (boxes,))
        for p in (torch.full((2, 2), 0.5), scores)
    ]
    return replace(
        taps,
        student=replace(taps.student, predictions=says[0]),
        teacher=replace(taps.teacher, predictions=says[1]),
    )


def test_every_image_chooses_by_itself(two_images):
    assert GID().masks(two_images)[0].all()
    assert GID(count=1).masks(two_images)[0].tolist() == [[[True, False]]] * 2


def test_four_instances_of_three_channels(two_images):
    # four chosen cells, three channels, difference 1
    assert GID(weight=1.0).losses(two_images)["loss_gid"].item() == pytest.approx(1.0)


def test_general_instances_are_greedy_and_few():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [40, 0, 50, 10]]])
    gain = torch.tensor([[0.9, 0.8, 0.1, 0.7]])
    assert general_instances(gain, boxes, 2).tolist() == [[True, False, False, True]]
    assert general_instances(gain, boxes, 9).tolist() == [[True, False, True, True]]
    # degenerate boxes overlap nothing, not even themselves, and are still chosen once
    points = torch.zeros(1, 3, 4)
    assert general_instances(torch.ones(1, 3), points, 2).sum() == 2


def test_general_instances_agree_with_a_full_nms():
    from mmcv.ops import nms

    torch.manual_seed(0)
    corner = torch.rand(60, 2) * 50
    boxes, gain = torch.cat([corner, corner + 5 + 20 * torch.rand(60, 2)], 1), torch.rand(60)
    _, kept = nms(boxes, gain, 0.3)
    chosen = general_instances(gain[None], boxes[None], 10)[0]
    assert set(chosen.nonzero().flatten().tolist()) == set(kept[:10].tolist())
