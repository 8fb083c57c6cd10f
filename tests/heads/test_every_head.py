"""What holds for every dense head at every layer, alone and as one of a pair."""

import copy
import itertools
import re

import pytest
import torch
from mmengine.structures import InstanceData

from crosskd_lab.cross_head import cross_head
from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for
from crosskd_lab.heads.base import BRANCHES
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair

FOUR = ["gfl", "retinanet", "fcos", "atss"]
FAMILIES = [*FOUR, "fcos_exp", "ddod", "paa", "vfnet", "tood", "rtmdet", "yolox"]
# of mmdet's own configs; the others have four
DEPTH = {"vfnet": 3, "tood": 6, "rtmdet": 2, "yolox": 2}
EXPONENTS = ("fcos_exp", "vfnet")  # whose boxes are exp() of what the tower gives
CENTERNESS = ("atss", "ddod", "paa")  # what is distilled of it
SILU = ("rtmdet", "yolox")
UNCLIPPED = ("tood", "yolox")  # whose boxes may reach beyond the image
each_head = pytest.mark.parametrize("family", FAMILIES)
each_layer = pytest.mark.parametrize(
    ("family", "i"), [(family, i) for family in FAMILIES for i in range(DEPTH.get(family, 4) + 1)]
)
each_pair = pytest.mark.parametrize(("student", "teacher"), list(itertools.product(FOUR, FOUR)))


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def apart(ours, theirs):
    """Largest difference of coordinates between every two boxes, in pixels."""
    return (ours[:, None] - theirs[None]).abs().amax(-1)


@pytest.mark.parametrize(
    ("family", "tap"),
    [*((f, "post_relu") for f in FAMILIES), *((f, "pre_relu") for f in FAMILIES if f not in SILU)],
)
def test_the_walk_is_the_heads_own_forward(detector, batch, family, tap):
    model = detector(family)
    neck = model.extract_feat(batch[0])
    adapter = adapter_for(model.bbox_head)
    walked = adapter.outputs(adapter.forward_towers(neck, tap).predictions)
    stock = model.bbox_head(neck)
    assert len(walked) == len(stock) >= 2
    assert all(same(ours, tuple(theirs)) for ours, theirs in zip(walked, stock, strict=True))


@each_layer
def test_resuming_from_any_layer_ends_at_the_same_predictions(detector, batch, family, i):
    model = detector(family)
    adapter = adapter_for(model.bbox_head)
    taps = adapter.forward_towers(model.extract_feat(batch[0]))
    last = {branch: adapter.forward_from(branch, taps.towers[branch][i], i) for branch in BRANCHES}
    resumed = adapter.predict(last)
    assert same(resumed.cls, taps.predictions.cls)
    assert same(resumed.reg, taps.predictions.reg)


@each_head
def test_the_detection_loss_is_stock_to_the_bit(detector, batch, stepped, family):
    model = detector(family)
    expected = copy.deepcopy(model).loss(*batch)  # DDOD counts its calls
    _, _, losses, targets = stepped(model, batch)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        ours, theirs = (v if isinstance(v, list) else [v] for v in (losses[name], value))
        assert same(tuple(ours), tuple(theirs)), name
    assert targets.positive.any() and not targets.positive.all()


@pytest.mark.parametrize("family", ["gfl", "retinanet", "atss", "ddod", "paa", "vfnet", "tood"])
def test_ignored_objects_are_left_out_as_stock_leaves_them(detector, batch, stepped, family):
    """FCOS, RTMDet and YOLOX assign points, which nothing ignores."""
    model = detector(family)
    for part in vars(model.bbox_head).values():
        if hasattr(part, "ignore_iof_thr"):
            part.ignore_iof_thr = 0.3
    *_, with_all = stepped(model, batch)
    for sample in batch[1]:
        sample.ignored_instances = InstanceData(bboxes=torch.tensor([[0.0, 0.0, 128.0, 60.0]]))
    expected = copy.deepcopy(model).loss(*batch)
    _, _, losses, targets = stepped(model, batch)
    for name, value in expected.items():
        ours, theirs = (v if isinstance(v, list) else [v] for v in (losses[name], value))
        assert same(tuple(ours), tuple(theirs)), name
    assert not torch.equal(targets.label_weights, with_all.label_weights)


@each_head
def test_targets_name_real_objects_in_pixels(detector, batch, stepped, family):
    adapter, said, _, targets = stepped(detector(family), batch)
    priors = targets.centres.size(0)
    assert targets.labels.shape == targets.label_weights.shape == (2, priors)
    assert adapter.decode(said.reg).shape == (2, priors, 4)
    for image, objects in enumerate(sample.gt_instances for sample in batch[1]):
        at = targets.positive[image]
        distance = apart(targets.boxes[image][at], objects.bboxes)
        nearest = distance.min(1)
        assert nearest.values.max() < 1e-2  # pixels
        assert torch.equal(objects.labels[nearest.indices], targets.labels[image][at])
        assert not targets.boxes[image][~at].any()


@each_head
def test_decoded_boxes_are_those_that_stock_evaluation_finds(detector, batch, family):
    """Each box that the detector reports in evaluation mode is one of the decoded ones."""
    model = detector(family).eval()
    adapter = adapter_for(model.bbox_head)
    with torch.no_grad():
        neck = model.extract_feat(batch[0])
        taps = adapter.forward_towers(neck)
        boxes = adapter.decode(taps.predictions.reg)
        found = model.bbox_head.predict(neck, batch[1], rescale=False)
    for image, instances in enumerate(found):
        assert len(instances) > 0
        decoded = boxes[image] if family in UNCLIPPED else boxes[image].clamp(0, 128)
        assert apart(instances.bboxes, decoded).min(1).values.max() < 1e-2


def assert_a_copy_says_the_same(adapter, neck, i, exponents):
    """To 1e-5 of 1 or a map's largest value: alignment has an epsilon, which exp() magnifies."""
    with torch.no_grad():
        taps = adapter.forward_towers(neck)
        crossed = cross_head(adapter, taps.towers, taps.towers, i)
    said = taps.predictions
    compared = [*zip(crossed.cls, said.cls, strict=True)]
    compared += zip(crossed.centerness or (), said.centerness or (), strict=True)
    for pair in zip(crossed.reg, said.reg, strict=True):
        compared.append(tuple(m.log() for m in pair) if exponents else pair)
    for ours, theirs in compared:
        largest = max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * largest)


@each_layer
def test_a_copy_of_the_teacher_gives_the_teachers_predictions(detector, batch, family, i):
    model = detector(family)
    adapter, neck = adapter_for(model.bbox_head), model.extract_feat(batch[0])
    assert_a_copy_says_the_same(adapter, neck, i, exponents=family in EXPONENTS)


@pytest.mark.parametrize("depth", [1, 2, 6])
@pytest.mark.parametrize("family", FOUR)
def test_towers_of_another_depth_are_walked_and_crossed(detector, batch, family, depth):
    model = detector(family, stacked_convs=depth)
    adapter, neck = adapter_for(model.bbox_head), model.extract_feat(batch[0])
    walked = adapter.outputs(adapter.forward_towers(neck).predictions)
    for ours, theirs in zip(walked, model.bbox_head(neck), strict=True):
        assert same(ours, tuple(theirs))
    for i in range(depth + 1):
        assert_a_copy_says_the_same(adapter, neck, i, exponents=False)
    with pytest.raises(LabError, match=rf"i must be in 0 \.\.\. {depth}"):
        cross_head(adapter, {}, {}, depth + 1)


def reached(student):
    """Names of the parameters that have a gradient other than zero."""
    return {n for n, p in student.named_parameters() if p.grad is not None and p.grad.any()}


def layer_of(name):
    """The index of the hidden conv that a parameter belongs to; None for those of no tower."""
    towers = r"bbox_head\.(?:multi_level_)?(?:cls|reg|inter)_convs"
    found = re.match(towers + r"\.(?:\d+\.)*?(\d+)\.\D", name)
    return int(found[1]) if found else None


@each_layer
def test_gradients_of_crosskd_end_at_the_tap(detector, batch, family, i):
    pair = Pair(detector(family, seed=1), detector(family, seed=2))
    before = {k: v.clone() for k, v in pair.teacher.state_dict().items()}
    distiller = Distiller(pair=pair, methods=[CrossKD(i=i)])
    losses = distiller.loss(*batch)
    kd = {name: value for name, value in losses.items() if "crosskd" in name}
    assert {"loss_crosskd_cls", "loss_crosskd_reg"} <= kd.keys()
    assert ("loss_crosskd_centerness" in kd) == (family in CENTERNESS)
    assert all(value.isfinite() and value > 0 for value in kd.values())
    sum(kd.values()).backward()
    names = reached(pair.student)
    assert any(name.startswith("backbone.layer4") for name in names)
    layers = {layer_of(n) for n in names if n.startswith("bbox_head.")}
    assert layers == set(range(i))  # None, a predictor's, is not among them
    assert all(p.grad is None for p in pair.teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in pair.teacher.state_dict().items())


@each_pair
def test_every_pair_distils(detector, batch, student, teacher):
    pair = Pair(detector(student, seed=1), detector(teacher, seed=2))
    distiller = Distiller(pair=pair, methods=[CrossKD(), PredictionMimicking()])
    losses = distiller.loss(*batch)
    crosskd = [value for name, value in losses.items() if "crosskd" in name]
    kd = [value for name, value in losses.items() if "loss_kd" in name]
    assert all(value.isfinite() and value > 0 for value in [*crosskd, *kd])
    i = pair.teacher_head.defaults.layer
    sum(crosskd).backward(retain_graph=True)
    names = reached(pair.student)
    assert {layer_of(n) for n in names if n.startswith("bbox_head.")} == set(range(i))
    pair.student.zero_grad()
    sum(kd).backward()
    names = reached(pair.student)
    assert any(n.startswith("bbox_head") and "_convs" not in n for n in names)
    assert all(p.grad is None for p in pair.teacher.parameters())


@each_head
def test_the_saved_student_loads_into_stock_mmdet(detector, family):
    pair = Pair(detector(family, seed=1), detector(family, seed=2))
    saved = Distiller(pair=pair, methods=[CrossKD()]).state_dict()
    detector(family, seed=3).load_state_dict(saved, strict=True)
