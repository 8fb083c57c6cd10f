"""Backbones of other families and sizes (Tab. 8): heads meet at the neck, so any pair will do."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair, build_detector

RETINANET = {
    "swin_t": "mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py",
    "r50": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
}


def retinanet(backbone, seed):
    """A RetinaNet whose backbone is whole and whose neck and head have 16 channels."""
    from crosskd_lab.configs import read_config

    model = copy.deepcopy(read_config(RETINANET.get(backbone, RETINANET["r50"])).model)
    if backbone == "mobilenet_v2":
        model.backbone = dict(type="MobileNetV2", out_indices=(1, 2, 4, 7))
        model.neck.in_channels = [24, 32, 96, 1280]
    elif backbone not in RETINANET:  # r18, r34, r101 in half their width
        model.backbone.update(depth=int(backbone[1:]), base_channels=32)
        expansion = 4 if backbone == "r101" else 1
        model.neck.in_channels = [32 * 2**stage * expansion for stage in range(4)]
    model.backbone.init_cfg = None
    model.neck.out_channels = 16
    model.bbox_head.update(num_classes=3, in_channels=16, feat_channels=16)
    torch.manual_seed(seed)
    return build_detector(model)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [("r50", "swin_t"), ("mobilenet_v2", "r50"), ("r18", "r34"), ("r18", "r101")],
)
def test_one_step_between_unlike_backbones(batch, student, teacher):
    pair = Pair(retinanet(student, 1), retinanet(teacher, 2))
    distiller = Distiller(pair=pair, methods=[CrossKD(i=3), PKD(weight=2)]).train()
    optimiser = torch.optim.SGD(distiller.parameters(), lr=1e-3)
    frozen = {name: value.clone() for name, value in pair.teacher.state_dict().items()}
    total, losses = distiller.parse_losses(distiller.loss(*batch))
    total.backward()
    optimiser.step()
    assert all(value.isfinite() for value in losses.values())
    assert losses["loss_crosskd_cls"] > 0 and losses["loss_crosskd_reg"] > 0
    assert all(p.grad.any() for p in pair.student.neck.parameters())
    assert any(p.grad is not None and p.grad.any() for p in pair.student.backbone.parameters())
    assert all(torch.equal(v, frozen[k]) for k, v in pair.teacher.state_dict().items())
