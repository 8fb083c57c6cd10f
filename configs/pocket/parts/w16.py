# The student's size: a quarter of ResNet-18's width, its backbone pretrained on single shapes.
_base_ = "base.py"
width = 16
body = dict(
    backbone=dict(
        base_channels=width,
        init_cfg=dict(type="WholeBackbone", checkpoint="data/backbones/r18_w16.safetensors"),
    ),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width]),
)
