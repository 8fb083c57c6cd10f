# mmdet's own RetinaNet with a head of 64 channels and nine anchors a
# location, from two strides wide. Its towers have no normalisation, as in the original.
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
model = dict(
    bbox_head=dict(
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(octave_base_scale=2),
    )
)
