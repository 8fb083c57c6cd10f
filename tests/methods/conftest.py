"""An oracle of the methods' losses in plain torch: own alignment, convs, formulas and order."""

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor


def convs(head: Any, branch: str) -> Any:
    return head.cls_convs if branch == "cls" else head.reg_convs


def through(layer: Any, x: Tensor) -> Tensor:
    return F.relu(layer.gn(layer.conv(x)))


def layer_by_layer(head: Any, branch: str, x: Tensor) -> list[Tensor]:
    """f_0 ... f_4 after the activation, for one level."""
    features = [x]
    for layer in convs(head, branch):
        features.append(through(layer, features[-1]))
    return features


def aligned(s: Tensor, t: Tensor) -> Tensor:
    """Channel by channel over batch and space, unbiased."""
    n = s.numel() // s.size(1)
    mean = lambda x: x.sum((0, 2, 3), keepdim=True) / n  # noqa: E731
    std = lambda x: ((x - mean(x)) ** 2).sum((0, 2, 3), keepdim=True).div(n - 1).sqrt()  # noqa: E731
    return (s - mean(s)) / (std(s) + 1e-6) * std(t) + mean(t)


def predictor(head: Any, branch: str, level: int, x: Tensor) -> Tensor:
    return head.gfl_cls(x) if branch == "cls" else head.gfl_reg(x) * head.scales[level].scale


def crossed(pair: Any, branch: str, i: int, level: int, s: Tensor, t: Tensor) -> Tensor:
    """p_hat^s of one level from both necks' features."""
    teacher = pair.teacher.bbox_head
    f_s = layer_by_layer(pair.student.bbox_head, branch, s)[i]
    f_t = layer_by_layer(teacher, branch, t)[i].detach()
    x = aligned(f_s, f_t)
    x = F.relu(x) if i else x
    for layer in list(convs(teacher, branch))[i:]:
        x = through(layer, x)
    return predictor(teacher, branch, level, x)


def flat(levels: list[Tensor], last: int) -> Tensor:
    return torch.cat([x.flatten(2).transpose(1, 2).unflatten(1, (-1,)) for x in levels], 1).reshape(
        levels[0].size(0), -1, last
    )


def assigned(head: Any, cls: list[Tensor], samples: list[Any]) -> tuple[Tensor, float]:
    """Label weights (N, P) and number of positives, from mmdet's own assigner."""
    metas = [s.metainfo for s in samples]
    anchors, valid = head.get_anchors([c.shape[-2:] for c in cls], metas, device="cpu")
    truths = [s.gt_instances for s in samples]
    _, _, weights, _, _, count = head.get_targets(anchors, valid, truths, metas)
    return torch.cat(list(weights), 1), float(count)


def two_terms(
    cls: Tensor, cls_t: Tensor, reg: Tensor, reg_t: Tensor, seen: Tensor, count: float, region: str
) -> dict[str, Tensor]:
    """KD-QFL over the positives' number, and 4 edges' KL weighted by S(r)."""
    y = 1 / (1 + torch.exp(-cls_t))
    p = 1 / (1 + torch.exp(-cls))
    bce = -(y * p.log() + (1 - y) * (1 - p).log())
    qfl = ((p - y).abs() * bce).sum(-1)
    bins_s, bins_t = (x.unflatten(-1, (4, -1)).softmax(-1) for x in (reg, reg_t))
    kl = (bins_t * (bins_t / bins_s).log()).sum(-1).sum(-1)
    w = y.max(-1).values if region == "teacher_score" else torch.ones_like(seen)
    w = w * (seen > 0)
    return {"cls": (qfl * seen).sum() / count, "reg": (kl * w).sum() / w.sum()}


@pytest.fixture
def oracle() -> Callable[..., dict[str, Tensor]]:
    """``oracle(pair, inputs, samples, i, region)``; i None compares the student's own outputs."""

    def losses(
        pair: Any, inputs: Tensor, samples: list[Any], i: int | None, region: str = "teacher_score"
    ) -> dict[str, Tensor]:
        student, teacher = pair.student.bbox_head, pair.teacher.bbox_head
        both = (d.extract_feat(inputs) for d in (pair.student, pair.teacher))
        necks = list(zip(*both, strict=True))
        out: dict[str, Tensor] = {}
        for branch, last in (("cls", 3), ("reg", 4 * 7)):
            own = [
                predictor(student, branch, k, layer_by_layer(student, branch, s)[-1])
                for k, (s, _) in enumerate(necks)
            ]
            target = [
                predictor(teacher, branch, k, layer_by_layer(teacher, branch, t)[-1]).detach()
                for k, (_, t) in enumerate(necks)
            ]
            if branch == "cls":
                seen, count = assigned(student, own, samples)
            if i is not None:
                own = [crossed(pair, branch, i, k, s, t) for k, (s, t) in enumerate(necks)]
            out[branch], out[f"{branch}_t"] = flat(own, last), flat(target, last)
        return two_terms(out["cls"], out["cls_t"], out["reg"], out["reg_t"], seen, count, region)

    return losses


@pytest.fixture
def batch(make_batch: Callable[..., Any]) -> Any:
    """Inputs and samples, as attributes."""
    inputs, samples = make_batch()
    return types.SimpleNamespace(inputs=inputs, samples=samples)


@pytest.fixture
def losses_of() -> Callable[..., dict[str, Tensor]]:
    """``losses_of(pair, batch, *methods)``: what the Distiller gives beyond detection."""

    def run(pair: Any, batch: Any, *methods: Any, tap: str = "post_relu") -> dict[str, Tensor]:
        from crosskd_lab.distiller import Distiller

        distiller = Distiller(pair=pair, methods=methods, tap=tap)
        losses = distiller.loss(batch.inputs, batch.samples)
        detection = {"loss_cls", "loss_bbox", "loss_dfl"}
        assert detection <= set(losses)
        return {name: value for name, value in losses.items() if name not in detection}

    return run


# --- taps of every head family, and taps made by hand -----------------------------------------
CONFIGS = {
    "GFLHead": "gfl/gfl_r50_fpn_1x_coco.py",
    "RetinaHead": "retinanet/retinanet_r50_fpn_1x_coco.py",
    "FCOSHead": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "ATSSHead": "atss/atss_r50_fpn_1x_coco.py",
    "DDODHead": "ddod/ddod_r50_fpn_1x_coco.py",
    "PAAHead": "paa/paa_r50_fpn_1x_coco.py",
    "VFNetHead": "vfnet/vfnet_r50_fpn_1x_coco.py",
    "TOODHead": "tood/tood_r50_fpn_1x_coco.py",
    "RTMDetSepBNHead": "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "YOLOXHead": "yolox/yolox_s_8xb8-300e_coco.py",
}
TWO_BOXES = [[6, 8, 40, 44], [30, 20, 62, 60]]


def pocket_sized(head: str) -> Any:
    """mmdet's config of a family with the pocket student's backbone and 64 channels."""
    from crosskd_lab.configs import read_config

    if head not in CONFIGS:
        pytest.fail(f"name mmdet's config of {head} in tests/methods/conftest.py")
    model, pocket = read_config(f"mmdet::{CONFIGS[head]}").model, read_config("pocket/gfl_r18_w16")
    model.backbone = pocket.model.backbone
    model.backbone.init_cfg = None
    if head in ("RTMDetSepBNHead", "YOLOXHead"):  # their own necks are cut to their own backbones
        model.neck = {**pocket.model.neck, "num_outs": 3}
        model.data_preprocessor = pocket.model.data_preprocessor
    model.neck.in_channels, model.neck.out_channels = pocket.model.neck.in_channels, 64
    model.bbox_head.update(num_classes=10, in_channels=64, feat_channels=64)
    if head != "RetinaHead":
        model.bbox_head.norm_cfg = dict(type="GN", num_groups=16, requires_grad=True)
    return model


@functools.cache
def pair_of(head: str) -> Any:
    """A student and an untrained teacher of one family, with different weights."""
    from crosskd_lab.engine.train import prepare_engine
    from crosskd_lab.pair import build_pair

    prepare_engine()
    torch.manual_seed(0)
    model = pocket_sized(head)
    pair = build_pair(model, {"config": model, "checkpoint": "random"})
    pair.student.init_weights()
    for tensor in pair.teacher.state_dict().values():  # stronger opinions than the student's
        if tensor.dim() == 4:
            tensor.mul_(1.5)
    pair.student.train()
    return pair


@pytest.fixture
def tapped(make_batch: Callable[..., Any], mixtures: None) -> Callable[..., Any]:
    """``tapped(head, boxes)``: pair and taps of 64-pixel images; coarse levels have one cell."""

    def collect_batch(head: str = "GFLHead", boxes: Any = (TWO_BOXES, [])) -> tuple[Any, Any]:
        from crosskd_lab.taps import collect

        pair = pair_of(head)
        pair.student.zero_grad(set_to_none=True)
        taps, _ = collect(pair, *make_batch(list(boxes), seed=1))
        return pair, taps

    return collect_batch


@pytest.fixture
def hand() -> Callable[..., Any]:
    """Taps of one level from two maps, with a made-up head: a square prior a cell.

    Priors are centred on multiples of the stride, ``side`` pixels wide; ``positive`` are flat
    indices, and ``head`` are more attributes of the adapter.
    """

    def taps(
        student: Tensor,
        teacher: Tensor,
        boxes: Any = ((),),
        positive: tuple[int, ...] = (0,),
        stride: int = 8,
        side: int = 8,
        **head: Any,
    ) -> Any:
        from crosskd_lab.heads.base import HeadTaps, Predictions, Targets
        from crosskd_lab.taps import Taps

        n, _, h, w = student.shape
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centre = (stride * torch.stack([x, y], -1)).reshape(-1, 2).float()
        priors = torch.cat([centre - side / 2, centre + side / 2], 1)
        adapter = types.SimpleNamespace(
            anchors=1,
            priors=lambda maps: priors,
            centres=lambda maps: centre,
            flat_cls=lambda p: p.cls[0].flatten(2).mT,
            decode=lambda reg: reg[0].flatten(2).mT,
            **head,
        )
        labels = torch.full((n, h * w), 3)
        labels[:, list(positive)] = 0
        targets = Targets(labels, torch.ones(n, h * w), torch.zeros(n, h * w, 4), 1.0, 3)
        gts = [types.SimpleNamespace(bboxes=torch.tensor(b).reshape(-1, 4).float()) for b in boxes]
        metas = [{"img_shape": (h * stride, w * stride)} for _ in range(n)]
        both = [HeadTaps((f,), {}, Predictions((), ())) for f in (student, teacher)]
        return Taps(*both, targets, adapter, adapter, gts, metas)

    return taps


@pytest.fixture
def same() -> Callable[[Any], Any]:
    """A function from Taps to Taps whose teacher says what the student says."""
    return lambda taps: dataclasses.replace(taps, teacher=taps.student)
