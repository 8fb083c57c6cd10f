"""Heads that do not fit: an error that says both numbers and the remedy, and the remedy works."""

import copy
from dataclasses import replace

import pytest
import torch

from crosskd_lab.configs import read_config
from crosskd_lab.cross_head import ConvAlign
from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair, build_detector
from crosskd_lab.taps import collect


def distil(pair, batch, *methods):
    distiller = Distiller(pair=pair, methods=list(methods))
    losses = {k: v for k, v in distiller.loss(*batch).items() if "kd" in k}
    assert losses and all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    return distiller


PLAIN = dict(type=ConvAlign, then="none")
WIDER = [(f, i, "conv") for f in ("yolox", "rtmdet") for i in range(3)] + [("gfl", 3, PLAIN)]


@pytest.mark.parametrize(("family", "i", "align"), WIDER)
def test_a_wider_teacher_of_towers_by_level_teaches_at_every_layer(
    detector, batch, family, i, align
):
    """As small from large of a family: one conv a branch for all levels, thrown away later."""
    pair = Pair(detector(family, seed=1), detector(family, seed=2, channels=12))
    with pytest.raises(LabError, match=r"has 8 channels at the tap, the teacher's 12.*'conv'"):
        Distiller(pair=pair, methods=[CrossKD(i=i)])
    before = copy.deepcopy(pair.teacher.state_dict())
    distiller = distil(pair, batch, CrossKD(i=i, align=align))
    learned = {n: p for n, p in distiller.named_parameters() if n.startswith("methods.")}
    weights = [p for n, p in learned.items() if n.endswith("weight")]
    assert [tuple(p.shape) for p in weights] == [(12, 8, 1, 1)] * 2
    assert all(p.grad.any() for p in weights)
    assert all(p.grad is None for p in pair.teacher.parameters())
    assert all(torch.equal(v, before[n]) for n, v in pair.teacher.state_dict().items())
    student = {n: v for n, v in distiller.state_dict().items() if n not in learned}
    detector(family, seed=3).load_state_dict(student, strict=True)


@pytest.mark.parametrize(
    "sizes", ["yolox/yolox_{}_8xb8-300e_coco.py", "rtmdet/rtmdet_{}_8xb32-300e_coco.py"]
)
def test_mmdets_own_large_teaches_its_own_small(batch, sizes):
    """Of public size, weights at random: 128 channels of s go through a conv to l's 256."""
    small, large = (build_detector(read_config(f"mmdet::{sizes.format(s)}").model) for s in "sl")
    pair = Pair(small, large)
    learned = distil(pair, batch, CrossKD(align="conv")).methods[0].learned
    assert all(learned[branch].conv.weight.shape == (256, 128, 1, 1) for branch in ("cls", "reg"))
    first, second = (conv.conv.weight.grad for conv in pair.student_head.tower("cls", 0))
    assert first.any() and second is None, "i = 1: f_1 comes of the first conv alone"


def conv_that_learns(pair, batch, method):
    """A pair's taps, and the method with its convs of the pair's widths."""
    method.attach(pair.student_head, pair.teacher_head)
    return collect(pair, *batch)[0], method


@pytest.fixture
def copied(detector):
    """A student that is its teacher, and a method whose conv only hands over."""
    teacher = detector("gfl", seed=2)
    return Pair(copy.deepcopy(teacher), teacher), CrossKD(align=PLAIN)


def test_a_feature_that_says_all_has_the_whole_share(copied, batch):
    taps, method = conv_that_learns(copied[0], batch, copied[1])
    with torch.no_grad():
        for learnt in method.learned.values():
            torch.nn.init.dirac_(learnt.conv.weight)
            learnt.conv.bias.zero_()
    shares = method.measures(taps)
    assert shares.keys() == {"own_crosskd_cls", "own_crosskd_reg"}
    assert all(share.item() == pytest.approx(1, abs=1e-4) for share in shares.values())


def test_a_conv_that_says_all_by_itself_is_told(copied, batch, capsys):
    taps, method = conv_that_learns(copied[0], batch, copied[1])
    for learnt in method.learned.values():
        torch.nn.init.zeros_(learnt.conv.weight)
    for measure in range(1, 12):
        shares = method.measures(taps)
        assert all(share.item() == pytest.approx(0, abs=1e-5) for share in shares.values())
        said = capsys.readouterr().err.splitlines()
        assert len(said) == (2 if measure == 10 else 0)  # once for each branch
    assert not CrossKD().measures(taps)  # no conv, nothing to tell


@pytest.mark.parametrize("family", ["yolox", "rtmdet"])
def test_the_share_is_what_a_flat_feature_would_cost(detector, batch, family):
    pair = Pair(detector(family, seed=1), detector(family, seed=2, channels=12))
    taps, method = conv_that_learns(pair, batch, CrossKD(align=PLAIN))
    flat = {
        branch: [
            tuple(m.mean((0, 2, 3), keepdim=True) + torch.zeros_like(m) for m in layer)
            for layer in tower
        ]
        for branch, tower in taps.student.towers.items()
    }
    silent = replace(taps, student=replace(taps.student, towers=flat))
    said, unsaid = method.losses(taps), method.losses(silent)
    assert {name: share.item() for name, share in method.measures(taps).items()} == {
        f"own_crosskd_{branch}": pytest.approx(
            1 - (said[f"loss_crosskd_{branch}"] / unsaid[f"loss_crosskd_{branch}"]).item(), abs=1e-4
        )
        for branch in ("cls", "reg")
    }


def test_shares_are_told_where_steps_are_logged_and_add_to_no_loss(detector, batch):
    pair = Pair(detector("yolox", seed=1), detector("yolox", seed=2, channels=12))
    distiller = Distiller(pair=pair, methods=[CrossKD(align="conv")])
    silent = distiller.loss(*batch)
    distiller.logged = True
    told = distiller.loss(*batch)
    assert told.keys() - silent.keys() == {"own_crosskd_cls", "own_crosskd_reg"}
    assert torch.equal(distiller.parse_losses(told)[0], distiller.parse_losses(silent)[0])


@pytest.mark.parametrize(("depths", "i", "own"), [((2, 4), 3, 1), ((4, 2), 1, 3), ((2, 4), 4, 2)])
def test_towers_of_other_depth_are_matched_at_the_prediction_end(detector, batch, depths, i, own):
    student, teacher = (
        detector("gfl", seed=seed, stacked_convs=depth) for seed, depth in enumerate(depths, 1)
    )
    pair = Pair(student, teacher)
    message = rf"have {depths[0]} hidden convs, the teacher's {depths[1]}: say CrossKD\(i="
    with pytest.raises(LabError, match=message):
        Distiller(pair=pair, methods=[CrossKD()])
    distiller = distil(pair, batch, CrossKD(i=i))
    reached = {
        int(name.split(".")[2])
        for name, p in distiller.named_parameters()
        if "cls_convs" in name and p.grad is not None and p.grad.any()
    }
    assert reached == set(range(own))


def test_a_layer_without_counterpart_names_the_range(detector):
    pair = Pair(detector("gfl", stacked_convs=2), detector("gfl"))
    with pytest.raises(LabError, match=r"i must be in 2 \.\.\. 4"):
        Distiller(pair=pair, methods=[CrossKD(i=1)])


THREE_LEVELS = dict(
    neck=dict(num_outs=3),
    anchor_generator=dict(
        type="AnchorGenerator",
        ratios=[1.0],
        octave_base_scale=8,
        scales_per_octave=1,
        strides=[8, 16, 32],
    ),
)


@pytest.mark.parametrize("other", ["rtmdet", "yolox"])
def test_a_gfl_of_three_levels_learns_from_other_kinds_and_teaches_them(detector, batch, other):
    gfl = dict(family="gfl", **THREE_LEVELS)
    for student, teacher, i in ((gfl, dict(family=other), 0), (dict(family=other), gfl, 3)):
        pair = Pair(detector(seed=1, **student), detector(seed=2, **teacher))
        distil(pair, batch, CrossKD(i=i), PredictionMimicking())


NAMES = ["cat", "dog", "emu"]


def with_classes_in_order(teacher, order):
    """A copy of the detector whose class channels are in another order."""
    teacher, head = copy.deepcopy(teacher), teacher.bbox_head
    weights = teacher.bbox_head.state_dict()
    for name, weight in weights.items():
        if "_cls." in name:
            by_class = weight.unflatten(0, (-1, head.num_classes))
            weights[name] = by_class[:, order].flatten(0, 1)
    teacher.bbox_head.load_state_dict(weights)
    return teacher


@pytest.mark.parametrize("family", ["gfl", "retinanet", "fcos", "atss", "ddod", "yolox"])
def test_the_same_classes_in_another_order_are_matched_by_name(detector, batch, family):
    teacher, order = detector(family, seed=2), [2, 0, 1]
    own = family if family == "yolox" else "gfl"  # whose levels are those of the others
    other = with_classes_in_order(teacher, order)
    names = [NAMES[k] for k in order]
    found = []
    for pair in (
        Pair(detector(own, seed=1), teacher, classes=(NAMES, NAMES)),
        Pair(detector(own, seed=1), other, classes=(NAMES, names)),
        Pair(detector(own, seed=1), other),  # by number only, as nobody names them
    ):
        methods = [CrossKD(), PredictionMimicking(), CrossKD(i=0)]
        methods[-1].name = "crosskd_from_the_neck"
        losses = Distiller(pair=pair, methods=methods).loss(*batch)
        found.append({name: value.item() for name, value in losses.items() if "kd" in name})
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0]["loss_kd_cls"] != pytest.approx(found[2]["loss_kd_cls"], rel=1e-2)


def test_other_classes_are_listed(detector):
    pair = [detector("gfl"), detector("atss")]
    message = "only the student has dog; only the teacher has fox, owl:"
    with pytest.raises(LabError, match=message):
        Pair(*pair, classes=(["cat", "dog"], ["fox", "cat", "owl"]))
    with pytest.raises(LabError, match="student's head scores 3 classes, but 2 are named: cat, d"):
        Pair(*pair, classes=(["cat", "dog"], None))
