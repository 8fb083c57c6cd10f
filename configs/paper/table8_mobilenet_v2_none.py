"""Table 8: the student of mobilenet_v2's pair alone."""

paper = dict(table=8, row=6)
student = "paper/parts/retinanet_mobilenet_v2"
teacher = dict(
    config="mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    checkpoint="retinanet_r50",
)
methods = []
