"""Small detectors of every family, random but not trivial: one scene pair, seconds to run."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict

import crosskd_lab  # noqa: F401  (the stack, before any test imports mmdet)

CHANNELS, CLASSES = 8, 3
CONFIGS = {
    "gfl": "mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    "retinanet": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "fcos": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "fcos_exp": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "atss": "mmdet::atss/atss_r50_fpn_1x_coco.py",
    "ddod": "mmdet::ddod/ddod_r50_fpn_1x_coco.py",
    "paa": "mmdet::paa/paa_r50_fpn_1x_coco.py",
    "vfnet": "mmdet::vfnet/vfnet_r50_fpn_1x_coco.py",
    "tood": "mmdet::tood/tood_r50_fpn_1x_coco.py",
    "rtmdet": "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "yolox": "mmdet::yolox/yolox_s_8xb8-300e_coco.py",
}
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


@functools.cache
def stock_model(config: str) -> Any:
    """The ``model`` part of mmdet's own config; not to be changed."""
    from crosskd_lab.configs import read_config

    return read_config(config).model


def narrow(family: str, channels: int = CHANNELS, width: int = 4, **head: Any) -> Any:
    """``model`` of mmdet's own config of a family with a ResNet-18 of width 4 (or ``width``)."""
    model = copy.deepcopy(stock_model(CONFIGS.get(family, family)))
    model.data_preprocessor.update(IMAGENET)
    model.backbone = dict(
        type="ResNet",
        depth=18,
        base_channels=width,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        init_cfg=None,
    )
    model.neck.in_channels = [width * 2**stage for stage in range(4)]
    model.neck.out_channels = channels
    model.bbox_head.update(num_classes=CLASSES, in_channels=channels, feat_channels=channels)
    if family in ("rtmdet", "yolox"):  # their necks need their backbones; one's BN is of all GPUs
        model.neck = dict(type="FPN", in_channels=model.neck.in_channels, out_channels=channels)
        model.neck = ConfigDict(model.neck, start_level=1, num_outs=3)
        model.bbox_head.norm_cfg = dict(type="BN", momentum=1.0)  # knows what it saw last
    elif "retina" not in family:
        model.bbox_head.norm_cfg = dict(type="GN", num_groups=2, requires_grad=True)
    if family == "paa":
        model.bbox_head.score_voting = False  # it averages boxes: they would not be those decoded
    model.neck.update(head.pop("neck", {}))
    model.bbox_head.update(head)
    return model


def build(model: Any, seed: int = 0) -> Any:
    """The detector with weights that give scores and boxes of every kind, as after training."""
    from crosskd_lab.pair import build_detector

    torch.manual_seed(seed)
    detector = build_detector(model)
    with torch.no_grad():
        for name, weight in detector.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 1.4 / weight[0].numel() ** 0.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.2)
        layers = getattr(detector, "bbox_head", torch.nn.Identity()).modules()
        if any(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers):
            detector.train()(torch.randn(2, 3, 128, 128))  # running statistics, as after training
    return detector.train()


@pytest.fixture(autouse=True)
def epoch() -> Callable[[int], None]:
    """The epoch that TOOD's targets depend on is 0 in every test, unless it says another."""
    from mmengine import MessageHub

    def say(number: int) -> None:
        MessageHub.get_current_instance().update_info("epoch", number)

    say(0)
    return say


@pytest.fixture
def detector(mixtures: None) -> Callable[..., Any]:
    """A function (family, seed=0, **changes of the config) -> a small detector in training mode."""

    def make(family: str, seed: int = 0, **changes: Any) -> Any:
        return build(narrow(family, **changes), seed)

    return make


@pytest.fixture
def stepped() -> Callable[..., Any]:
    """``stepped(model, batch)``: its head's adapter, predictions, detection losses and targets."""

    def step(model: Any, batch: tuple[torch.Tensor, list[Any]]) -> tuple[Any, Any, Any, Any]:
        from crosskd_lab.heads import adapter_for

        adapter = adapter_for(model.bbox_head)
        walked, losses, targets = adapter.student_step(model, *batch, "post_relu")
        return adapter, walked.predictions, losses, targets

    return step


def make_batch(images: int = 2, size: int = 128, seed: int = 0) -> tuple[torch.Tensor, list[Any]]:
    """Normalised images ``(N, 3, size, size)`` and samples with two to four boxes each."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    random = torch.Generator().manual_seed(seed)
    samples = []
    for image in range(images):
        count = 2 + image % 3
        corner = torch.rand(count, 2, generator=random) * size * 0.5
        extent = size * (0.15 + 0.3 * torch.rand(count, 2, generator=random))
        boxes = torch.cat([corner, corner + extent], 1)
        labels = torch.randint(CLASSES, (count,), generator=random)
        meta = dict(img_shape=(size, size), pad_shape=(size, size), batch_input_shape=(size, size))
        meta["scale_factor"] = (1.0, 1.0)
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        samples.append(sample)
    return torch.randn(images, 3, size, size, generator=random), samples


@pytest.fixture
def batch() -> tuple[torch.Tensor, list[Any]]:
    """Two images of 128 pixels with five boxes."""
    return make_batch()


SIZES = [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)]  # of a 64-pixel image, strides 8 ... 128


@pytest.fixture
def constant(detector) -> Callable[..., Any]:
    """A function (adapter, cls, reg, centerness=None) -> predictions that are alike everywhere.

    ``reg`` holds the numbers of one prior, repeated for every prior of a location.
    """

    def make(adapter: Any, cls: float, reg: list[float], centerness: float | None = None) -> Any:
        from crosskd_lab.heads.base import Predictions

        def maps(values: list[float]) -> tuple[torch.Tensor, ...]:
            row = torch.tensor(values * adapter.anchors).view(1, -1, 1, 1)
            sizes = SIZES[: len(adapter.strides)]
            return tuple(row.expand(-1, -1, *size).clone() for size in sizes)

        return Predictions(
            maps([cls] * adapter.num_classes),
            maps(reg),
            None if centerness is None else maps([centerness]),
        )

    return make


@pytest.fixture
def mimicry(detector) -> Callable[..., Any]:
    """A function from hand-made predictions and targets to the KD terms between them.

    ``mimicry(adapter, ours, theirs, objects, ignored, num_pos)``: ``objects`` maps priors to
    (label, box), ``ignored`` lists priors of weight 0.
    """

    def terms(
        adapter: Any,
        ours: Any,
        theirs: Any,
        objects: dict[int, tuple[int, list[float]]],
        ignored: tuple[int, ...] = (),
        num_pos: float = 1.0,
    ) -> dict[str, float]:
        from crosskd_lab.heads.base import HeadTaps, Targets
        from crosskd_lab.methods.crosskd import PredictionMimicking
        from crosskd_lab.taps import Taps

        count = sum(adapter.counts(ours.cls))
        labels = torch.full((1, count), adapter.num_classes)
        boxes, weights = torch.zeros(1, count, 4), torch.ones(1, count)
        for prior, (label, box) in objects.items():
            labels[0, prior], boxes[0, prior] = label, torch.tensor(box)
        weights[0, list(ignored)] = 0
        targets = Targets(
            labels, weights, boxes, num_pos, adapter.num_classes, adapter.centres(ours.cls)
        )
        taps = Taps(
            HeadTaps((), {}, ours), HeadTaps((), {}, theirs), targets, adapter, adapter, [], [{}]
        )
        losses = PredictionMimicking().mimic(ours, taps)
        return {name: value.item() for name, value in losses.items()}

    return terms


@pytest.fixture
def in_halves(child: Callable[..., Any], tmp_path: Path) -> Callable[[list[Any]], list[Any]]:
    """``in_halves(jobs)``: what two processes, half the batch each, make of jobs they share."""

    def work(jobs: list[Any]) -> list[Any]:
        torch.save(jobs, tmp_path / "jobs.pt")
        words = Path(__file__).with_name("two_processes.py"), tmp_path / "jobs.pt", tmp_path / "out"
        for one in [child(*words, rank) for rank in range(2)]:
            code, _, errors = one.end()
            assert code == 0, errors[-2000:]
        return torch.load(tmp_path / "out")

    return work
