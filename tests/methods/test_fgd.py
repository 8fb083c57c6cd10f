"""FGD by hand."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.fgd import (
    FGD,
    GcBlock,
    channel_attention,
    scale_masks,
    spatial_attention,
)


def test_all_four_terms_by_hand(hand):
    taps = hand(torch.ones(1, 4, 1, 4), torch.zeros(1, 4, 1, 4), [[0, 0, 1, 1]], stride=1)
    method = FGD(channels=4, levels=1)
    losses = method.losses(taps)
    # per channel: fg 2/4, bg 1, att 0 (both attentions are flat), glob 4; four channels
    expected = {"fg": 1e-3 * 2, "bg": 5e-4 * 4, "att": 0, "glob": 5e-6 * 16}
    for name, value in expected.items():
        assert losses[f"loss_fgd_{name}"].item() == pytest.approx(value, abs=1e-9)
    assert sum(losses.values()).item() == pytest.approx(0.00408)
    # the map shows the same weights before the difference: a quarter of alpha, half of beta
    shown = method.region_map(taps)[0]
    assert shown.flatten().tolist() == pytest.approx([2.5e-4, 2.5e-4, 2.5e-4, 2.5e-4])


def test_attention_is_compared_too(hand):
    student, teacher = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    student[..., 1] = 0.5 * torch.tensor(3.0).log()  # attention 0.5 and 1.5 against 1 and 1
    losses = FGD(channels=1, levels=1, alpha=0, beta=0, gamma=1, context=0).losses(
        hand(student, teacher)
    )
    assert losses["loss_fgd_att"].item() == pytest.approx(1.0)


def test_an_image_without_boxes_is_all_background(hand):
    losses = FGD(channels=4, levels=1).losses(hand(torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)))
    assert losses["loss_fgd_fg"].item() == 0
    assert losses["loss_fgd_bg"].item() == pytest.approx(5e-4 * 4)


def test_padded_batches_can_be_corrected(hand):
    taps = hand(torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 1, 4), [[0, 0, 1, 1]], stride=1)
    taps.metas[0].update(img_shape=(1, 2), batch_input_shape=(1, 4))  # half of it is padding
    published, corrected = (FGD(1, levels=1, padded=p).region_map(taps)[0] for p in (False, True))
    # scaled by 4 / 2 the box reaches column 2, in truth column 1
    assert published.flatten().tolist() == pytest.approx([1e-3 / 6] * 3 + [5e-4])
    assert corrected.flatten().tolist() == pytest.approx([2.5e-4] * 4)


def test_other_channels_need_and_get_an_adapter(hand):
    taps = hand(torch.ones(1, 3, 1, 2), torch.zeros(1, 4, 1, 2))
    with pytest.raises(LabError, match=r"set channels=<teacher's> and student_channels="):
        FGD(channels=4, levels=1).losses(taps)
    with pytest.raises(LabError, match=r"maps of \[4\] channels, .* 5 maps of 256: set"):
        FGD().losses(taps)
    method = FGD(channels=4, student_channels=3, levels=1)
    sum(method.losses(taps).values()).backward()
    assert method.adapter[0].weight.grad.abs().sum() > 0


def test_half_precision_does_not_overflow(hand):
    """A channel five times as strong has an attention near C, and a square of hundreds."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 1, 256, 8, 8, generator=generator).unbind()
    teacher[:, 0] *= 40
    taps, method = hand(student, teacher, [[0, 0, 8, 8]], stride=1), FGD(channels=256, levels=1)
    alone = method.losses(taps)
    with torch.autocast("cpu", torch.float16):
        half = method.losses(hand(student.half(), teacher.half(), [[0, 0, 8, 8]], stride=1))
    for name in ("loss_fgd_fg", "loss_fgd_bg"):
        assert half[name].item() == pytest.approx(alone[name].item(), rel=0.05)


def test_scale_masks_by_hand():
    foreground, background = scale_masks(torch.tensor([[0.0, 0, 1, 1]]), (1, 4), (1, 4))
    # the box spans two rows, of which the map has one: 1 / (2 * 2) in columns 0 and 1
    assert foreground.tolist() == [[0.25, 0.25, 0, 0]]
    assert background.tolist() == [[0, 0, 0.5, 0.5]]


def test_a_box_that_ends_before_it_begins_marks_nothing():
    foreground, background = scale_masks(torch.tensor([[3.0, 0, 2, 1]]), (1, 4), (1, 4))
    assert not foreground.any() and background.tolist() == [[0.25] * 4]


def test_the_smaller_of_two_boxes_wins_and_none_leaves_background():
    boxes = torch.tensor([[0.0, 0, 3, 0], [0.0, 0, 1, 0]])
    foreground, background = scale_masks(boxes, (1, 4), (1, 4))
    assert foreground.tolist() == [[0.5, 0.5, 0.25, 0.25]]
    assert not background.any()
    foreground, background = scale_masks(torch.zeros(0, 4), (2, 2), (8, 8))
    assert not foreground.any() and background.tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_spatial_attention_by_hand():
    feature = torch.tensor([0.0, -0.5 * math.log(3)]).reshape(1, 1, 1, 2)
    assert spatial_attention(feature, 0.5).flatten().tolist() == pytest.approx([0.5, 1.5])


def test_channel_attention_by_hand():
    feature = torch.tensor([0.0, math.log(3)]).reshape(1, 2, 1, 1)
    assert channel_attention(feature, 1.0).flatten().tolist() == pytest.approx([0.5, 1.5])


def test_a_context_block_starts_as_the_identity_and_can_learn():
    block, feature = GcBlock(4), torch.randn(2, 4, 3, 3)
    assert torch.equal(block(feature), feature)
    block(feature).square().sum().backward()
    assert block.transform[3].weight.grad.abs().sum() > 0


def test_a_context_block_by_hand():
    block = GcBlock(2)
    torch.nn.init.zeros_(block.key.weight)  # equal shares: the context is the mean over space
    block.transform = torch.nn.Identity()
    feature = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])
    expected = feature + torch.tensor([2.0, 2.0]).reshape(1, 2, 1, 1)
    assert torch.allclose(block(feature), expected)
