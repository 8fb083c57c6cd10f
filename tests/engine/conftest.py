"""Random ground truth of every awkward kind, and random predictions for it, head by head."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import crosskd_lab  # noqa: F401  (the stack, before any test imports mmdet)

CLASSES = 3
HEADS = {
    "gfl": "mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    "atss": "mmdet::atss/atss_r50_fpn_1x_coco.py",
    "retinanet": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "fcos": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "fcos_exp": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "vfnet": "mmdet::vfnet/vfnet_r50_fpn_1x_coco.py",
    "ddod": "mmdet::ddod/ddod_r50_fpn_1x_coco.py",
}


@cache
def stock_model(config: str) -> Any:
    """``model`` of mmdet's own config; not to be changed."""
    from crosskd_lab.configs import read_config

    return read_config(config).model


def tiny_model(config: str) -> Any:
    """The same with a ResNet-18 of width 8 and a narrow head."""
    model = deepcopy(stock_model(config))
    model.backbone = ConfigDict(
        type="ResNet",
        depth=18,
        base_channels=8,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
    )
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=8)
    model.bbox_head.update(num_classes=CLASSES, in_channels=8, feat_channels=8)
    if "retina" not in config:
        model.bbox_head.norm_cfg = dict(type="GN", num_groups=2, requires_grad=True)
    return model


@pytest.fixture
def tiny_detector() -> Callable[..., Any]:
    """``tiny_detector("gfl", seed=0, **changes of the head)``: a small one, training."""

    def make(name: str, seed: int = 0, **changes: Any) -> Any:
        from crosskd_lab.pair import build_detector

        model = tiny_model(HEADS.get(name, name))
        model.bbox_head.update(changes)
        torch.manual_seed(seed)
        detector = build_detector(model)
        with torch.no_grad():
            for weight in detector.parameters():
                scale = 1.4 / weight[0].numel() ** 0.5 if weight.dim() > 1 else 0.0
                weight.add_(torch.randn_like(weight) * scale)
        return detector.train()

    return make


def boxes_of(random: torch.Generator, count: int, size: float) -> torch.Tensor:
    """``(count, 4)`` boxes, some across or beyond the image's edge, some one upon another."""
    corner = torch.rand(count, 2, generator=random) * size * 1.3 - 0.15 * size
    extent = 1 + torch.rand(count, 2, generator=random).square() * size * 0.8
    boxes = torch.cat([corner, corner + extent], 1)
    if count > 3:
        boxes[1] = boxes[0]  # the same box twice: the first must win
        boxes[2] = boxes[0] + 0.1
    return boxes


def truths_of(
    seed: int, size: int = 96
) -> tuple[list[InstanceData], list[dict], list[InstanceData | None]]:
    """One to three images: objects (0 to 30), metas (padded or not) and boxes to ignore."""
    random = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=random))

    truths, metas, ignored = [], [], []
    for _ in range(draw(1, 4)):
        count = (0, 1, 2, 5, 30)[draw(0, 5)]
        boxes = boxes_of(random, count, size)
        labels = torch.randint(CLASSES, (count,), generator=random)
        truths.append(InstanceData(bboxes=boxes, labels=labels))
        shape = (draw(30, size + 1), draw(30, size + 1)) if draw(0, 2) else (size, size)
        metas.append(dict(img_shape=shape, pad_shape=shape, batch_input_shape=(size, size)))
        crowds = boxes_of(random, draw(0, 4), size) if draw(0, 2) else None
        ignored.append(crowds if crowds is None else InstanceData(bboxes=crowds))
    return truths, metas, ignored


def said_of(adapter: Any, images: int, seed: int, size: int = 96) -> Any:
    """Random predictions of a head for maps of this size, each a leaf that takes a gradient."""
    from crosskd_lab.heads.base import Predictions

    random = torch.Generator().manual_seed(seed)
    a, head = adapter.anchors, adapter.head
    bins = 4 * (head.reg_max + 1) if hasattr(head, "reg_max") else 4
    kind = type(head).__name__
    points, beside = kind in ("FCOSHead", "VFNetHead"), ("loss_centerness", "loss_iou")
    bins *= 2 if kind == "VFNetHead" else 1  # it predicts two boxes

    def maps(channels: int, spread: float) -> tuple[torch.Tensor, ...]:
        return tuple(
            torch.randn(images, channels, side, side, generator=random) * spread
            for side in (math.ceil(size / stride) for stride in adapter.strides)
        )

    reg = maps(a * bins, 0.3 if bins == 4 and not points else 2.0)
    if points:
        reg = tuple(m.abs() * (10 if kind == "VFNetHead" else 1) for m in reg)  # in pixels there
    others = maps(a, 1.0) if any(hasattr(head, name) for name in beside) else None
    said = [maps(a * CLASSES, 2.0), reg, others]
    return Predictions(*(m and tuple(x.requires_grad_() for x in m) for m in said))


@pytest.fixture
def case() -> Callable[..., Any]:
    """``case(adapter, seed)``: predictions, truths, metas and ignored, as detection losses take."""

    def make(adapter: Any, seed: int) -> tuple[Any, ...]:
        truths, metas, ignored = truths_of(seed)
        return said_of(adapter, len(truths), seed), truths, metas, ignored

    return make


@pytest.fixture
def case_batch() -> Callable[[int], Any]:
    """``case_batch(seed)``: images ``(N, 3, 96, 96)`` and mmdet's samples of such a case."""

    def make(seed: int) -> tuple[torch.Tensor, list[Any]]:
        from mmdet.structures import DetDataSample

        truths, metas, _ = truths_of(seed)
        samples = [DetDataSample(metainfo=meta) for meta in metas]
        for sample, truth in zip(samples, truths, strict=True):
            sample.gt_instances = truth
        random = torch.Generator().manual_seed(seed)
        return torch.randn(len(truths), 3, 96, 96, generator=random), samples

    return make


@pytest.fixture
def doubles() -> Any:
    """``with doubles(adapter):`` stock and the lab in float64 throughout."""
    return in_doubles


@contextmanager
def in_doubles(adapter: Any) -> Iterator[None]:
    """Stock mmdet in float64 throughout: it says float32 by name in many places."""
    from mmdet.models.dense_heads import (
        anchor_head,
        atss_head,
        ddod_head,
        fcos_head,
        gfl_head,
        vfnet_head,
    )

    class Doubles:
        def __getattr__(self, name: str) -> Any:
            return torch.float64 if name in ("float", "float32") else getattr(torch, name)

    def in_double(single: Any, size: Any, level_idx: int, dtype: Any = None, **more: Any) -> Any:
        return single(size, level_idx, dtype=torch.float64, **more)

    generators = {adapter.head.prior_generator, getattr(adapter.head, "atss_prior_generator", None)}
    with pytest.MonkeyPatch.context() as patch:
        for module in (anchor_head, atss_head, ddod_head, fcos_head, gfl_head, vfnet_head):
            patch.setattr(module, "torch", Doubles())
        patch.setattr(torch.Tensor, "float", torch.Tensor.double, raising=False)
        for generator in filter(None, generators):
            single = generator.single_level_grid_priors
            patch.setattr(generator, "single_level_grid_priors", partial(in_double, single))
        adapter._kept.clear()
        yield
    adapter._kept.clear()


HERE = Path(__file__).resolve().parent
TINY = {
    "teacher.checkpoint": "random",
    "data.size": 64,
    "schedule.steps": 4,
    "schedule.batch": 2,
    "schedule.validate_every": 2,
    "schedule.warmup": 2,
}


def load_tiny(scenes: Path, settings: dict[str, Any] | None = None, seed: int = 3) -> Any:
    """The completed config of a tiny experiment that logs every step."""
    from crosskd_lab.engine.config import load_experiment

    cfg = load_experiment("pocket/crosskd", {**TINY, **(settings or {})}, scenes, seed)
    for hook in cfg.custom_hooks:
        if hook["type"] == "RunMetrics":
            hook["every"] = 1
    return cfg


@pytest.fixture
def tiny(scenes_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function from settings to the completed config; it logs every step."""
    monkeypatch.syspath_prepend(str(HERE))  # so that configs find toy_methods
    return partial(load_tiny, scenes_dir)


@pytest.fixture(scope="session")
def finished(
    scenes_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """A run that is done, and its results; read it only."""
    from crosskd_lab.engine.train import train

    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, train(load_tiny(scenes_dir), folder)
