# RetinaNet with MobileNetV2: mmdet's R50 with another backbone.
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(1, 2, 4, 6),
        act_cfg=dict(type="ReLU6"),
        init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://mmdet/mobilenet_v2"),
    ),
    neck=dict(in_channels=[24, 32, 96, 320]),
)
