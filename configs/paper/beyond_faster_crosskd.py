"""Beyond the tables: Faster R-CNN R50 to R18, CrossKD from the RoI feature; no AP is published."""

from crosskd_lab.methods import CrossKD

student = "paper/parts/faster_r18"
teacher = dict(
    config="mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    checkpoint="faster_r50",
)
methods = [dict(type=CrossKD)]

# No public file is named here: train it, or put one as data/teachers/faster_r50.safetensors
