# mmdet's own FCOS (normalised distances, centre sampling, centerness from the box tower) with a
# head of 64 channels; each level takes objects half as large as in the original.
_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py"
model = dict(
    bbox_head=dict(
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256), (256, 1e8)),
    )
)
