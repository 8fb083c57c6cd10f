"""Table 6: fcos R101 to R50, CrossKD."""

from crosskd_lab.methods import CrossKD

paper = dict(table=6, row=6)
student = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py"
teacher = dict(
    config="mmdet::fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    checkpoint="fcos_r101",
)
methods = [dict(type=CrossKD)]
