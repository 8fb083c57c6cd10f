"""YOLOX's layers, score and targets; what it shares with no other head."""

import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData

from crosskd_lab.configs import read_config
from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.settings import replace
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair

PAGE = Path(__file__).resolve().parents[2] / "docs" / "yolo.md"
LN4 = math.log(4)  # sigma = 0.8


def test_each_level_has_layers_of_its_own(detector):
    adapter = adapter_for(detector("yolox").bbox_head)
    assert adapter.depth == 2 and adapter.strides == (8, 16, 32)
    for branch in ("cls", "reg"):
        (one, _), (other, _) = adapter.tower(branch, 0), adapter.tower(branch, 2)
        assert one.conv is not other.conv and type(one.activate).__name__ == "Swish"
    assert adapter.tower("cls", 0) is not adapter.tower("reg", 0)


@pytest.mark.parametrize("logits", [(0.0, 0.0), (-3.0, 1.0), (9.0, -2.0), (-60.0, -70.0)])
def test_the_score_is_class_times_objectness(detector, constant, logits):
    adapter = adapter_for(detector("yolox").bbox_head)
    odds = adapter.flat_cls(constant(adapter, logits[0], [0.0] * 4, logits[1])).double()
    score = math.prod(1 / (1 + math.exp(-z)) for z in logits)
    assert odds.unique().tolist() == pytest.approx([math.log(score / (1 - score))], rel=1e-6)


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("yolox").bbox_head)
    small, large = [0.0] * 4, [0.0, 0.0, math.log(2), math.log(2)]
    ours, theirs = constant(adapter, 0.0, small, 0.0), constant(adapter, LN4, large, LN4)
    # joint scores 1/4 and 0.64; squares of a stride in squares of two around the points: IoU 1/4
    losses = mimicry(adapter, ours, theirs, {0: (0, [0.0, 0, 16, 8])}, (3, 4), num_pos=7.0)
    cross_entropy = -0.64 * math.log(0.25) - 0.36 * math.log(0.75)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.39 * cross_entropy * 82 / 7, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.64 * 0.75 * 82 / 7, rel=1e-5),
    }
    # points on multiples of the stride: the tenth is (8, 8), the 65th (0, 0) again
    boxes = adapter.decode(ours.reg)[0]
    assert boxes[9].tolist() == [4, 4, 12, 12] and boxes[64].tolist() == [-8, -8, 8, 8]


def test_where_there_is_no_object_classes_are_left_alone(detector, constant):
    """The same disagreement about the class weighs nothing under objectness that is nothing."""
    adapter = adapter_for(detector("yolox").bbox_head)

    def pull(objectness: float) -> tuple[float, float]:
        ours = constant(adapter, -1.0, [0.0] * 4, objectness)
        theirs = constant(adapter, 3.0, [0.0] * 4, objectness)
        leaves = [m.requires_grad_() for m in (*ours.cls, *ours.centerness)]
        adapter.cls_distance(ours, theirs).sum().backward()
        return leaves[0].grad.abs().max().item(), leaves[3].grad.abs().max().item()

    on_object, background = pull(2.0), pull(-12.0)
    assert background[0] < 1e-4 * on_object[0]
    assert on_object[1] > 0


def test_objectness_answers_at_background_too(detector, constant):
    adapter = adapter_for(detector("yolox").bbox_head)
    ours, theirs = (constant(adapter, 1.0, [0.0] * 4, o) for o in (1.0, -9.0))
    leaf = ours.centerness[1].requires_grad_()
    adapter.cls_distance(ours, theirs).sum().backward()
    assert (leaf.grad > 0.1).all()


def test_the_class_branch_needs_the_box_branch(detector, batch):
    pair = Pair(detector("yolox", seed=1), detector("yolox", seed=2))
    with pytest.raises(LabError, match=r'reads from the box tower: .*branches=\("reg",\)'):
        Distiller(pair=pair, methods=[CrossKD(branches=("cls",))]).loss(*batch)
    losses = Distiller(pair=pair, methods=[CrossKD(branches=("reg",))]).loss(*batch)
    assert losses["loss_crosskd_reg"] > 0 and "loss_crosskd_cls" not in losses


def test_a_positives_score_shall_be_its_boxes_iou(detector, batch, stepped):
    adapter, said, _, targets = stepped(detector("yolox"), batch)
    assert targets.num_pos == targets.positive.sum().item() > 1
    at = targets.positive
    ours, theirs = adapter.decode(said.reg)[at], targets.boxes[at]
    least, most = torch.max(ours[:, :2], theirs[:, :2]), torch.min(ours[:, 2:], theirs[:, 2:])
    extent = (most - least).clamp(0)
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (ours, theirs)]
    overlap = extent.prod(1) / (sum(areas) - extent.prod(1))
    torch.testing.assert_close(targets.quality[targets.positive], overlap)
    assert not targets.quality[~targets.positive].any()
    soft = adapter.soft_labels(said, targets)
    assert torch.equal(soft.sum(-1), targets.quality)


def test_an_object_that_no_box_meets_keeps_its_label(detector, constant):
    """Early in training the one prior of such an object has IoU 0, so its target says no class."""
    model = detector("yolox")
    adapter = adapter_for(model.bbox_head)
    tiny = constant(adapter, 0.0, [0.0, 0.0, -30.0, -30.0], 0.0)
    truth = InstanceData(bboxes=torch.tensor([[8.5, 8.5, 40.0, 40.0]]), labels=torch.tensor([2]))
    meta = dict(img_shape=(64, 64), pad_shape=(64, 64), scale_factor=(1.0, 1.0))
    _, targets = adapter.detection_losses(tiny, [truth], [meta])
    assert targets.positive.sum() == 1 and targets.labels[targets.positive].tolist() == [2]
    assert targets.boxes[targets.positive].tolist() == truth.bboxes.tolist()


@pytest.mark.parametrize("bare", [(0,), (1,), (0, 1)])
def test_images_without_objects(detector, batch, stepped, bare):
    pair = Pair(detector("yolox", seed=1), detector("yolox", seed=2))
    for image in bare:
        batch[1][image].gt_instances = batch[1][image].gt_instances[:0]
    losses = Distiller(pair=pair, methods=[CrossKD(), PredictionMimicking()]).loss(*batch)
    assert all(value.isfinite() for value in losses.values())
    stock = pair.student.loss(*batch)
    assert all(torch.equal(losses[name], value) for name, value in stock.items())
    *_, targets = stepped(pair.student, batch)
    assert [row.any().item() for row in targets.positive] == [i not in bare for i in range(2)]
    assert targets.num_pos >= 1


def test_the_last_epochs_distances_are_stock_too(detector, batch, stepped):
    model = detector("yolox")
    model.bbox_head.use_l1 = True
    _, _, losses, _ = stepped(model, batch)
    stock = model.loss(*batch)
    assert losses["loss_l1"] > 0 and losses.keys() == stock.keys()
    assert all(torch.equal(losses[name], value) for name, value in stock.items())


def test_depthwise_towers_are_told(detector):
    with pytest.raises(LabError, match="DepthwiseSeparableConvModule .*write an adapter"):
        adapter_for(detector("yolox", use_depthwise=True).bbox_head)


def test_the_page_says_what_can_be_done(detector, batch):
    """Its methods distil, its experiments take its settings, its tests are there."""
    text = PAGE.read_text(encoding="utf-8")
    said = {}
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(block, said)
    pair = Pair(detector("yolox", seed=1), detector("yolox", seed=2, channels=12))
    losses = Distiller(pair=pair, methods=said["methods"]).loss(*batch)
    assert losses["loss_crosskd_cls"] > 0
    trained = re.findall(r"^crosskd-lab train (\S+)(.*)$", text, re.MULTILINE)
    assert len(trained) == 3
    (further,) = re.findall(r"`--set (methods\S+)`", text)
    for name, options in trained:
        settings = re.findall(r"--set (\S+)", options) + [further] * (
            name == "pocket/yolox_crosskd"
        )
        replace(read_config(name), dict(setting.split("=") for setting in settings))
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) == 4 and all(f"def {name}(" in tests for name in named)
