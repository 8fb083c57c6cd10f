"""Table 6: retinanet, the student alone."""

paper = dict(table=6, row=2)
student = "mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"
teacher = dict(
    config="mmdet::retinanet/retinanet_r101_fpn_2x_coco.py",
    checkpoint="retinanet_r101",
)
methods = []
