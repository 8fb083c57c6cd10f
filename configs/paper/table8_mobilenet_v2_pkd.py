"""Table 8: RetinaNet, R50 to MobileNetV2, PKD."""

from crosskd_lab.methods import PKD

paper = dict(table=8, row=7)
student = "paper/parts/retinanet_mobilenet_v2"
teacher = dict(
    config="mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    checkpoint="retinanet_r50",
)
methods = [dict(type=PKD)]
