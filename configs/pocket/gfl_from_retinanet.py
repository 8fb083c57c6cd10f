"""A pocket GFL student of another kind of teacher, RetinaNet (Tab. 7)."""

from crosskd_lab.methods import CrossKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/retinanet_r18_w32", checkpoint="retinanet_r18_w32")
methods = [dict(type=CrossKD)]
