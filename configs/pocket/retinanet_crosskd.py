"""CrossKD between pocket RetinaNets, where and as strongly as the authors had it."""

from crosskd_lab.methods import CrossKD

student = "pocket/retinanet_r18_w16"
teacher = dict(config="pocket/retinanet_r18_w32", checkpoint="retinanet_r18_w32")
methods = [dict(type=CrossKD)]
