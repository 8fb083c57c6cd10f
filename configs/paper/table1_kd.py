"""Table 1, and with it 2 and 4: GFL R50 to R18, prediction mimicking (LD in the paper's words)."""

from crosskd_lab.methods import PredictionMimicking

paper = dict(table=1, row=7)
student = "paper/parts/gfl_r18"
teacher = dict(
    config="mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    checkpoint="gfl_r50",
)
methods = [dict(type=PredictionMimicking)]
