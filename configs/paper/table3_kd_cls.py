"""Table 3: GFL R50 to R18, mimicking on the cls branch alone."""

from crosskd_lab.methods import PredictionMimicking

paper = dict(table=3, row=1)
student = "paper/parts/gfl_r18"
teacher = dict(
    config="mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    checkpoint="gfl_r50",
)
methods = [dict(type=PredictionMimicking, branches=("cls",))]
