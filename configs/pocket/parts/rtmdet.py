# mmdet's own RTMDet-l with a head of 64 channels; images, backbone and pyramid are those of all
# pocket detectors, of whose levels it reads three. Its BatchNorm is of one process: SyncBN wants
# several.
_base_ = "mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py"
model = dict(
    data_preprocessor=dict(_delete_=True, type="DetDataPreprocessor"),
    backbone=dict(_delete_=True, type="ResNet"),
    neck=dict(_delete_=True, type="FPN", start_level=1, num_outs=3),
    bbox_head=dict(num_classes=10, in_channels=64, feat_channels=64, norm_cfg=dict(type="BN")),
)
