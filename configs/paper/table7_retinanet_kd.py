"""Table 7: retinanet R101 teaches GFL-R50, mimicking."""

from crosskd_lab.methods import PredictionMimicking

paper = dict(table=7, row=7)
student = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::retinanet/retinanet_r101_fpn_2x_coco.py",
    checkpoint="retinanet_r101",
)
methods = [dict(type=PredictionMimicking)]
