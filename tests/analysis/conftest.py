"""Detectors so small that every number can be counted by hand."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from crosskd_lab.configs import read_config
from crosskd_lab.engine.train import prepare_engine, quiet
from crosskd_lab.pair import Pair


class Toy(nn.Module):
    """A GFL head on features that are the pooled image itself, repeated over 8 channels."""

    data_preprocessor = None

    def __init__(self, strides, scale):
        super().__init__()
        self.strides = strides
        head = dict(
            type="GFLHead",
            num_classes=2,
            in_channels=8,
            feat_channels=8,
            stacked_convs=2,
            reg_max=4,
            norm_cfg=dict(type="GN", num_groups=2),
            anchor_generator=dict(
                type="AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=scale,
                scales_per_octave=1,
                strides=strides,
            ),
            loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
            loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
            loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
            train_cfg=dict(
                assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1
            ),
        )
        with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
            self.bbox_head = MODELS.build(head)

    def extract_feat(self, inputs):
        ramp = torch.arange(1.0, 9.0)[:, None, None]
        pooled = [nn.functional.avg_pool2d(inputs.mean(1, True), s) for s in self.strides]
        return tuple(p * ramp for p in pooled)


@pytest.fixture
def toy_pair():
    """``toy_pair(strides, scale)``: a student and a teacher of two classes, weights seeded."""
    prepare_engine()

    def build(strides=(8,), scale=1):
        torch.manual_seed(0)
        return Pair(Toy(list(strides), scale).eval(), Toy(list(strides), scale))

    return build


FAMILIES = {
    "gfl": "mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    "retinanet": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "fcos": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "atss": "mmdet::atss/atss_r50_fpn_1x_coco.py",
}


@pytest.fixture
def mixed_pair():
    """``mixed_pair(student, teacher)``: heads of two families on the same five levels."""
    prepare_engine()

    def detector(family):
        toy = Toy([8, 16, 32, 64, 128], 8)
        model = read_config(FAMILIES[family]).model
        head = {**model.bbox_head, "num_classes": 2, "in_channels": 8, "feat_channels": 8}
        if family != "retinanet":
            head["norm_cfg"] = dict(type="GN", num_groups=2)
        with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
            toy.bbox_head = MODELS.build({**head, "train_cfg": model.get("train_cfg")})
            toy.bbox_head.init_weights()
        for weight in toy.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        return toy.eval()

    def build(student, teacher):
        torch.manual_seed(0)
        return Pair(detector(student), detector(teacher))

    return build


@pytest.fixture
def sample():
    """``sample(boxes, labels, size, scale)``: mmdet's sample of one square image."""

    def build(boxes, labels, size=16, scale=1.0):
        shape = (size, size)
        meta = dict(img_shape=shape, pad_shape=shape, batch_input_shape=shape)
        made = DetDataSample(metainfo={**meta, "scale_factor": (scale, scale), "img_id": 7})
        made.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(labels, dtype=torch.long),
        )
        return made

    return build
