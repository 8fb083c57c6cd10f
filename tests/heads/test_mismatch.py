"""Heads that do not fit: an error that says both numbers and the remedy, and the remedy works."""

from __future__ import annotations

import pytest
import torch

from crosskd_lab.cross_head import ConvAlign
from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.methods import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


def distil(pair, batch, *methods):
    distiller = Distiller(pair=pair, methods=list(methods))
    losses = {k: v for k, v in distiller.loss(*batch).items() if "kd" in k}
    assert losses and all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    return distiller


def test_other_channels_need_a_learned_alignment(detector, batch):
    pair = Pair(detector("gfl", seed=1), detector("gfl", seed=2, channels=12))
    with pytest.raises(LabError, match=r"has 8 channels at the tap, the teacher's 12.*'conv'"):
        Distiller(pair=pair, methods=[CrossKD(i=3)])
    for align in ("conv", dict(type=ConvAlign, then="none")):
        distiller = distil(pair, batch, CrossKD(i=3, align=align))
        learned = {n: p for n, p in distiller.named_parameters() if n.startswith("methods.")}
        assert {n.split(".")[3] for n in learned} == {"cls", "reg"}
        assert [tuple(p.shape) for n, p in learned.items() if n.endswith("weight")] == [
            (12, 8, 1, 1)
        ] * 2
        assert all(p.grad.any() for n, p in learned.items() if n.endswith("weight"))
        student = {n: v for n, v in distiller.state_dict().items() if n not in learned}
        detector("gfl", seed=3).load_state_dict(student, strict=True)


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


def with_levels(detector, family, seed, start, count):
    """A detector whose neck begins at another stage, with that many levels."""
    strides = [4 * 2 ** (start + level) for level in range(count)]
    generator = dict(type="AnchorGenerator", ratios=[1.0], octave_base_scale=8)
    generator |= dict(scales_per_octave=1, strides=strides)
    neck = dict(start_level=start, num_outs=count)
    return detector(family, seed, neck=neck, anchor_generator=generator)


def test_other_levels_distil_at_the_common_ones(detector, batch):
    student = detector("gfl", seed=1)  # strides 8 ... 128
    teacher = with_levels(detector, "atss", 2, start=0, count=4)  # 4 ... 32
    with pytest.raises(LabError, match=r"\(8, 16, 32, 64, 128\), the teacher's \(4, 8, 16, 32\)"):
        Pair(student, teacher)
    pair = Pair(student, teacher, levels="common")
    taps, losses = collect(pair, *batch)
    assert taps.student_head.strides == taps.teacher_head.strides == (8, 16, 32)
    assert len(taps.student.neck) == len(taps.teacher.predictions.cls) == 3
    assert taps.targets.labels.shape == (2, 16 * 16 + 8 * 8 + 4 * 4)
    stock = student.loss(*batch)
    assert all(
        torch.equal(a, b) for a, b in zip(losses["loss_cls"], stock["loss_cls"], strict=True)
    )
    whole = pair.teacher_head.walk(teacher.extract_feat(batch[0])).predictions
    assert torch.equal(taps.teacher.predictions.reg[0], whole.reg[1])
    distil(pair, batch, CrossKD(i=3), PredictionMimicking())


def test_no_common_level_is_an_error(detector):
    student = detector("gfl")
    student.bbox_head.prior_generator.strides = [(step, step) for step in (6, 12, 24, 48, 96)]
    with pytest.raises(LabError, match="they share none"):
        Pair(student, detector("atss"), levels="common")
