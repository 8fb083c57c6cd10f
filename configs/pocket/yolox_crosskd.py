"""CrossKD between pocket YOLOXs."""

from crosskd_lab.methods.crosskd import CrossKD

student = "pocket/yolox_r18_w16"
teacher = dict(config="pocket/yolox_r18_w32", checkpoint="yolox_r18_w32")
methods = [dict(type=CrossKD)]
