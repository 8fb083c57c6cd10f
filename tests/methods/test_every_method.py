"""What every method of Table 5 owes: on every head family, in half precision, without objects."""

import inspect
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from functools import cache

import pytest
import torch
from mmengine.structures import InstanceData

from crosskd_lab.configs import read_config
from crosskd_lab.distiller import build_method
from crosskd_lab.errors import LabError
from crosskd_lab.heads import ADAPTERS
from crosskd_lab.losses import pearson_distance
from crosskd_lab.methods import METHODS
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.decoder_crosskd import DecoderCrossKD, DecoderMimicking
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect

PRIOR = ["fitnets", "inside_gt", "defeat", "main_region", "fine_grained"]
PRIOR += ["fgd", "gid", "skd", "ld", "pkd"]
PLAIN_BOXES = sorted(set(ADAPTERS) - {"GFLHead"})  # on which LD must say that it cannot work
BEYOND = ["PAAHead", "VFNetHead", "TOODHead", "RTMDetSepBNHead", "YOLOXHead"]  # with few methods
ASKS_THE_HEAD = ["main_region", "gid"]  # for its targets and predictions
TWO_BOXES = [[6, 8, 40, 44], [30, 20, 62, 60]]  # of the first image; the second has none
CASES = [
    (head, name)
    for head in ADAPTERS
    for name in (ASKS_THE_HEAD if head in BEYOND else PRIOR)
    if (head, name) not in {(head, "ld") for head in PLAIN_BOXES}
]


@cache
def entry(name):
    """The method's in its pocket config."""
    (only,) = read_config(f"pocket/{name}").methods
    return only


def pocket(name):
    """The method as its pocket config has it."""
    torch.manual_seed(0)
    return build_method(deepcopy(entry(name)))


def total(losses):
    assert losses and all(name.startswith("loss_") for name in losses)
    assert all(value.dim() == 0 for value in losses.values())
    return torch.stack(list(losses.values())).sum()


def cast(value, dtype):
    """Every floating tensor of (nested) taps in another precision."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype)
    if isinstance(value, tuple):
        return tuple(cast(v, dtype) for v in value)
    if isinstance(value, dict):
        return {key: cast(v, dtype) for key, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: cast(getattr(value, f.name), dtype) for f in fields(value)}
        )
    return value


@pytest.mark.parametrize(("head", "name"), CASES)
def test_it_teaches_the_student_and_leaves_the_teacher(tapped, head, name):
    pair, taps = tapped(head)
    loss = total(pocket(name).losses(taps))
    assert loss.isfinite() and loss > 0
    loss.backward()
    backbone = [p.grad for p in pair.student.backbone.parameters() if p.grad is not None]
    assert sum(grad.abs().sum() for grad in backbone) > 0
    assert all(p.grad is None for p in pair.teacher.parameters())


@pytest.mark.parametrize(("head", "name"), CASES)
def test_an_equal_student_has_nothing_to_learn(tapped, same, head, name):
    _, taps = tapped(head)
    assert total(pocket(name).losses(same(taps))).item() == pytest.approx(0, abs=2e-5)


@pytest.mark.parametrize(("head", "name"), CASES)
def test_no_object_anywhere(tapped, head, name):
    pair, taps = tapped(head, ([], []))
    loss = total(pocket(name).losses(taps))
    loss.backward()
    grads = [p.grad for p in pair.student.parameters() if p.grad is not None]
    assert loss.isfinite() and grads and all(grad.isfinite().all() for grad in grads)
    assert loss < 1e5, "no distance is divided by next to nothing"
    if name in ("inside_gt", "defeat", "main_region", "fine_grained", "gid", "ld"):
        assert loss.item() == 0


@pytest.mark.parametrize("name", METHODS)
def test_one_of_two_images_without_objects(tapped, name):
    pair, taps = tapped()
    assert [len(truth) for truth in taps.gt_instances] == [2, 0]
    loss = total(pocket(name).losses(taps))
    loss.backward()
    grads = [p.grad for p in pair.student.parameters() if p.grad is not None]
    assert loss.isfinite() and loss > 0
    assert all(grad.isfinite().all() for grad in grads) and any(grad.any() for grad in grads)


@pytest.mark.parametrize("name", METHODS)
def test_levels_of_one_pixel_and_one_image(tapped, name):
    _, taps = tapped("GFLHead", ([[6, 8, 40, 44], [4, 30, 38, 60]],))
    assert [tuple(m.shape[-2:]) for m in taps.student.neck][-2:] == [(1, 1), (1, 1)]
    assert len(taps.student.neck[-1]) == 1, "no deviation can be taken of the only location"
    method = pocket(name)
    loss = total(method.losses(taps))
    grads = torch.autograd.grad(loss, taps.student.neck, retain_graph=True, materialize_grads=True)
    assert loss.isfinite() and loss > 0
    assert all(grad.isfinite().all() for grad in grads) and any(grad.any() for grad in grads)
    assert [m.shape for m in method.region_map(taps)[-2:]] == [(1, 1, 1), (1, 1, 1)]


def attached(method, pair):
    torch.manual_seed(0)
    method.attach(pair.student_head, pair.teacher_head)
    return method


def pkd_of_twice_the_values(taps):
    """PKD divides by unbiased deviations, so that a level of n values has (n - 1) / n in it."""
    whole = 0.0
    for student, teacher in zip(taps.student.neck, taps.teacher.neck, strict=True):
        n = student.numel() // student.size(1)
        once, twice = (n - 1) / n, (2 * n - 1) / (2 * n)
        whole += 6 * pearson_distance(student, teacher).item() / once * twice
    return whole


DENSE = [head for head in ADAPTERS if head not in BEYOND]
ON_BATCHES = [("GFLHead", name) for name in (*METHODS, "assistant_head")]
ON_BATCHES += [(head, n) for head in DENSE[1:] for n in ("kd", "crosskd", "assistant_head")]


@pytest.mark.parametrize(("head", "name"), ON_BATCHES)
def test_the_same_images_twice_give_the_same_loss(tapped, make_batch, head, name):
    pair, taps = tapped(head)
    inputs, samples = make_batch([TWO_BOXES, []], seed=1)
    doubled, _ = collect(pair, inputs.repeat(2, 1, 1, 1), samples + deepcopy(samples))
    method = attached(pocket(name), pair)
    if (head, name) == ("GFLHead", "assistant_head"):
        method.assistant.gfl_cls.bias.data += 5  # mmdet divides by the scores' sum, by 1 at least
    once, twice = method.losses(taps), method.losses(doubled)
    expected = {key: value.item() for key, value in once.items()}
    if name == "pkd":
        expected = {"loss_pkd_neck": pkd_of_twice_the_values(taps)}
    assert any(expected.values())
    assert {key: value.item() for key, value in twice.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("faster", PredictionMimicking()),
        ("faster", CrossKD()),
        ("deformable", DecoderMimicking()),
        ("deformable", DecoderCrossKD()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_same_holds_beyond_dense_heads(beyond_dense, make_batch, kind, method):
    every = {"num": 10000}  # samplers that draw would draw otherwise from another batch
    sampled = {"train_cfg.rpn.sampler": every, "train_cfg.rcnn.sampler": every}
    changes = sampled if kind == "faster" else {}
    pair = Pair(*(beyond_dense(kind, s, **changes) for s in (0, 1)), {"checkpoint": "random"})
    attached(method, pair)
    inputs, samples = make_batch()
    once, _ = collect(pair, inputs, deepcopy(samples))
    twice, _ = collect(pair, inputs.repeat(2, 1, 1, 1), samples + deepcopy(samples))
    said = {key: value.item() for key, value in method.losses(twice).items()}
    assert any(said.values())
    expected = {key: value.item() for key, value in method.losses(once).items()}
    assert said == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_classes_that_no_one_scores_change_nothing(tapped, make_batch, name):
    pair, taps = tapped()
    wider = Pair(
        *(with_silent_classes(d, 70) for d in (pair.student, pair.teacher)),
        {"checkpoint": "random"},
    )
    more, _ = collect(wider.student.train() and wider, *make_batch([TWO_BOXES, []], seed=1))
    expected = attached(pocket(name), pair).losses(taps)
    found = attached(pocket(name), wider).losses(more)
    assert more.targets.num_classes == 80 and any(value.item() for value in found.values())
    assert {key: value.item() for key, value in found.items()} == pytest.approx(
        {key: value.item() for key, value in expected.items()}, rel=1e-4
    )


def with_silent_classes(detector, count):
    """A copy of a GFL that knows more classes and scores them all at nothing."""
    detector = deepcopy(detector)
    head, narrow = detector.bbox_head, detector.bbox_head.gfl_cls
    head.num_classes = head.cls_out_channels = narrow.out_channels + count
    head.gfl_cls = torch.nn.Conv2d(narrow.in_channels, head.num_classes, 3, padding=1)
    head.gfl_cls.weight.data = torch.cat(
        [narrow.weight.data, narrow.weight.new_zeros(count, *narrow.weight.shape[1:])]
    )
    silent = narrow.bias.new_full((count,), -60.0)
    head.gfl_cls.bias.data = torch.cat([narrow.bias.data, silent])
    return detector


IGNORED, SHARE = [0, 10, 40, 64], 0.4  # most of the second image; of a prior, to be ignored


@pytest.fixture
def with_ignored(tapped, make_batch, monkeypatch):
    """Pair, taps and ``(N, P)`` priors on an object that the annotations say to ignore.

    The head's own ATSS assigner leaves the priors on it out.
    """
    pair, _ = tapped()
    monkeypatch.setattr(pair.student_head.head.assigner, "ignore_iof_thr", SHARE)
    inputs, samples = make_batch([[[6, 8, 40, 44]], [[4, 2, 26, 20]]], seed=1)
    for sample, told in zip(samples, ([], [IGNORED]), strict=True):
        boxes = torch.tensor(told).reshape(-1, 4).float()
        sample.ignored_instances = InstanceData(bboxes=boxes)
    taps, _ = collect(pair, inputs, samples)
    priors = pair.student_head.priors(taps.student.neck)
    shared = torch.minimum(priors[:, 2:], torch.tensor(IGNORED[2:])) - torch.maximum(
        priors[:, :2], torch.tensor(IGNORED[:2])
    )
    inside = shared.clamp(min=0).prod(-1) > SHARE * (priors[:, 2:] - priors[:, :2]).prod(-1)
    return pair, taps, torch.stack([torch.zeros_like(inside), inside])


@pytest.mark.parametrize("name", METHODS)
def test_ignored_objects_through_the_assigner(with_ignored, name):
    pair, taps, inside = with_ignored
    assert inside.sum() > 3 and not taps.targets.label_weights[inside].any()
    assert taps.targets.positive[1].any(), "the other object of the image still counts"
    method = pocket(name)
    loss = total(method.losses(taps))
    said = (*taps.student.predictions.cls, *taps.student.predictions.reg)
    grads = torch.autograd.grad(loss, said, retain_graph=True, materialize_grads=True)
    count = len(grads) // 2
    pulls = sum(
        torch.cat([g.abs().sum(1).flatten(1) for g in branch], 1)
        for branch in (grads[:count], grads[count:])
    )
    assert not pulls[inside].any(), "no prediction is taught there"
    assert pulls.any() == (name in ("kd", "ld")), "elsewhere those that compare predictions teach"
    if name in ("kd", "crosskd", "ld", "main_region"):
        weights = torch.cat([level.flatten(1) for level in method.region_map(taps)], 1)
        assert not weights[inside].any() and weights.any()
    loss.backward()
    learnt = [p.grad for p in pair.student.parameters() if p.grad is not None]
    assert loss.isfinite() and loss > 0 and all(grad.isfinite().all() for grad in learnt)


@pytest.mark.parametrize("name", PRIOR)
def test_half_precision_taps_give_nearly_the_same_in_float32(tapped, name):
    _, taps = tapped()
    method = pocket(name)
    with torch.no_grad():
        exact = total(method.losses(taps))
        rough = replace(
            taps,
            student=cast(taps.student, torch.bfloat16),
            teacher=cast(taps.teacher, torch.bfloat16),
        )
        loss = total(method.losses(rough))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = total(method.losses(taps))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
    assert mixed.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize("name", sorted(set(PRIOR) - {"ld"}))  # LD compares predictions alone
def test_other_channels_are_refused_with_a_remedy(tapped, name):
    _, taps = tapped()
    narrow = replace(taps.student, neck=tuple(m[:, :32] for m in taps.student.neck))
    with pytest.raises(LabError, match="channels"):
        pocket(name).losses(replace(taps, student=narrow))


@pytest.mark.parametrize("name", METHODS)
def test_its_region_map_has_a_value_at_every_location(tapped, name):
    _, taps = tapped()
    maps = pocket(name).region_map(taps)
    assert [m.shape for m in maps] == [m[:, 0].shape for m in taps.student.neck]
    assert all(m.dtype == torch.float32 and not m.requires_grad for m in maps)
    assert all((m >= 0).all() for m in maps) and any(m.any() for m in maps)
    if name not in ("fitnets", "skd", "pkd", "kd", "crosskd", "fgd", "defeat", "gid"):
        assert not any(m[1].any() for m in maps)  # the image without objects


def test_any_of_them_compose_and_their_names_differ(tapped):
    _, taps = tapped()
    losses = [name for method in METHODS for name in pocket(method).losses(taps)]
    assert len(set(losses)) == len(losses)


@pytest.mark.parametrize("name", METHODS)
def test_each_says_what_it_is(name):
    kind = METHODS[name]
    assert type(pocket(name)) is kind
    text = inspect.getdoc(kind)
    assert "Carried over:" in text, f"{kind.__name__}: say what its weight was found with"
    if name in PRIOR:
        for part in ("Paper:", "Idea:", "Needs:", "Symbols:", "Unverified:", "Args:"):
            assert part in text
