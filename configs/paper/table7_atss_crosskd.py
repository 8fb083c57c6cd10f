"""Table 7: atss R101 teaches GFL-R50, CrossKD."""

from crosskd_lab.methods import CrossKD

paper = dict(table=7, row=4)
student = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::atss/atss_r101_fpn_1x_coco.py",
    checkpoint="atss_r101",
)
methods = [dict(type=CrossKD)]
