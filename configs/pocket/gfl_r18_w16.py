# The pocket student: GFL, ResNet-18 a quarter wide, its backbone pretrained on single shapes.
_base_ = "base.py"
model = dict(
    backbone=dict(
        init_cfg=dict(type="WholeBackbone", checkpoint="data/backbones/r18_w16.safetensors")
    )
)
