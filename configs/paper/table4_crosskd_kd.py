"""Table 4: GFL R50 to R18, CrossKD with mimicking added back."""

from crosskd_lab.methods import CrossKD, PredictionMimicking

paper = dict(table=4, row=4)
student = "paper/parts/gfl_r18"
teacher = dict(
    config="mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    checkpoint="gfl_r50",
)
methods = [dict(type=CrossKD), dict(type=PredictionMimicking)]
