# The pocket RetinaNet on a quarter of MobileNetV2's width, pretrained on single shapes.
_base_ = ["../pocket/parts/retinanet.py", "../pocket/parts/base.py"]
model = dict(
    data_preprocessor=_base_.body.preprocessor,
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        widen_factor=0.25,
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type="BN", requires_grad=True),
        init_cfg=dict(type="WholeBackbone", checkpoint="data/backbones/mv2_w025.safetensors"),
    ),
    neck=dict(out_channels=64, in_channels=[8, 8, 24, 80]),
)
