"""Table 2: GFL R50 to R18, PKD on cls and reg."""

from crosskd_lab.methods import PKD

paper = dict(table=2, row=5)
student = "paper/parts/gfl_r18"
teacher = dict(
    config="mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    checkpoint="gfl_r50",
)
methods = [dict(type=PKD, where=("cls", "reg"))]
