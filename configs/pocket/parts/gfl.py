# mmdet's own GFL with a head of 64 channels and anchors for small images.
_base_ = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
model = dict(
    bbox_head=dict(
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        anchor_generator=dict(octave_base_scale=4),
    )
)
