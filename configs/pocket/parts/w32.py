# The teacher's size: half of ResNet-18's width, trained longer and on more scenes.
_base_ = "base.py"
data = dict(root="data/teacher_scenes")
schedule = dict(steps=5000, validate_every=1000)
width = 32
body = dict(
    backbone=dict(
        base_channels=width,
        init_cfg=dict(type="WholeBackbone", checkpoint="data/backbones/r18_w32.safetensors"),
    ),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width]),
)
