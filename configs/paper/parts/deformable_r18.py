# Deformable DETR, refined and in two stages, with ResNet-18: mmdet's R50 with another depth.
_base_ = "mmdet::deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py"
model = dict(
    backbone=dict(depth=18, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet18")),
    neck=dict(in_channels=[128, 256, 512]),
)
