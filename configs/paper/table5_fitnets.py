"""Table 5: GFL R101 to R50, FitNets."""

from crosskd_lab.methods import FitNets

paper = dict(table=5, row=3)
student = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py",
    checkpoint="gfl_r101",
)
methods = [dict(type=FitNets)]
