"""Table 5: GFL-R50 alone, of R101 to R50."""

paper = dict(table=5, row=2)
student = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py",
    checkpoint="gfl_r101",
)
methods = []
