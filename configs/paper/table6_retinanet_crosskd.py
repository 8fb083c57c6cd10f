"""Table 6: retinanet R101 to R50, CrossKD."""

from crosskd_lab.methods import CrossKD

paper = dict(table=6, row=3)
student = "mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"
teacher = dict(
    config="mmdet::retinanet/retinanet_r101_fpn_2x_coco.py",
    checkpoint="retinanet_r101",
)
methods = [dict(type=CrossKD)]

# As the authors had it: extra levels from the pyramid's output, where stock and the teacher take
# the backbone's.
settings = {"model.neck.add_extra_convs": "on_output"}
