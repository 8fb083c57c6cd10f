# GFL with ResNet-18, which mmdet does not list: its GFL-R50 with another depth.
_base_ = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
model = dict(
    backbone=dict(depth=18, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet18")),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
