"""Table 3: GFL R50 to R18, CrossKD on the reg branch alone."""

from crosskd_lab.methods import CrossKD

paper = dict(table=3, row=5)
student = "paper/parts/gfl_r18"
teacher = dict(
    config="mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    checkpoint="gfl_r50",
)
methods = [dict(type=CrossKD, branches=("reg",))]
