"""One walk a head: equal to the head's own forward, and nothing that it hands out is changed."""

import pytest
import torch
from torch import nn

from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for


@pytest.fixture(params=[True, False], ids=["GN", "no norm"])
def detector(request, make_detector):
    return make_detector(3, norm=request.param).eval()


def hidden(detector, branch):
    head = detector.bbox_head
    return head.cls_convs if branch == "cls" else head.reg_convs


@pytest.mark.parametrize("branch", ["cls", "reg"])
def test_every_f_i_is_what_the_convs_give_one_by_one(detector, make_batch, branch):
    neck = detector.extract_feat(make_batch()[0])
    assert all(conv.activate.inplace for conv in hidden(detector, branch))  # the trap is set
    after = adapter_for(detector.bbox_head).forward_towers(neck).towers[branch]
    before = adapter_for(detector.bbox_head).forward_towers(neck, "pre_relu").towers[branch]
    assert len(after) == len(before) == 5
    for level, feature in enumerate(neck):
        assert torch.equal(after[0][level], feature) and torch.equal(before[0][level], feature)
        for i, layer in enumerate(hidden(detector, branch), start=1):
            raw = layer.conv(feature)
            raw = layer.norm(raw) if layer.with_norm else raw
            feature = raw.clamp(min=0)
            assert torch.equal(after[i][level], feature)
            assert torch.equal(before[i][level], raw)
    assert min(f.min() for f in before[3]) < 0 <= min(f.min() for f in after[3])
    assert all(torch.equal(b.relu(), a) for b, a in zip(before[4], after[4], strict=True))


def test_the_neck_is_not_changed(detector, make_batch):
    neck = detector.extract_feat(make_batch()[0])
    kept = [f.clone() for f in neck]
    for tap in ("post_relu", "pre_relu"):
        adapter_for(detector.bbox_head).forward_towers(neck, tap)
    assert all(torch.equal(a, b) for a, b in zip(neck, kept, strict=True))


def test_the_range_follows_the_heads_depth(make_detector):
    head = adapter_for(make_detector(0, depth=2).bbox_head)
    assert head.depth == 2
    with pytest.raises(LabError, match=r"2 hidden convs.*0 \.\.\. 2"):
        head.check_layer(3)


def test_unknown_tap_and_unknown_head_are_named(detector):
    with pytest.raises(LabError, match="tap = 'middle'.*post_relu, pre_relu"):
        adapter_for(detector.bbox_head).forward_towers((), "middle")

    class OddHead(nn.Module):
        pass

    with pytest.raises(LabError, match="OddHead has no adapter.*GFLHead"):
        adapter_for(OddHead())


def test_hidden_layers_of_another_kind_are_refused(make_detector):
    head = make_detector(0).bbox_head
    head.cls_convs[1] = nn.Conv2d(16, 16, 3, padding=1)
    with pytest.raises(LabError, match="cls tower.*not a conv-norm-act"):
        adapter_for(head)


def test_only_relu_is_passed_twice(make_detector):
    features = torch.linspace(-2, 2, 5)
    head = adapter_for(make_detector(0).bbox_head)
    assert head.rectify(features).tolist() == [0, 0, 0, 1, 2]
    for layer in head.tower("cls", 0):
        layer.activate = nn.SiLU()
    assert torch.equal(head.rectify(features), features)
    with pytest.raises(LabError, match='activates by SiLU: tap="pre_relu" is for heads of ReLU'):
        head.forward_towers((), "pre_relu")
    head.tower("cls", 0)[0].with_activation = False
    assert torch.equal(head.rectify(features), features)


def test_classes_in_another_order_and_nothing_else(detector, make_batch):
    neck = detector.extract_feat(make_batch()[0])
    head, other = adapter_for(detector.bbox_head), adapter_for(detector.bbox_head)
    other.class_order = [2, 0, 1]
    said, ordered = head.forward_towers(neck).predictions, other.forward_towers(neck).predictions
    for a, b in zip(said.cls, ordered.cls, strict=True):
        assert torch.equal(a[:, [2, 0, 1]], b)
    assert all(map(torch.equal, said.reg, ordered.reg))
