"""CrossKD between pocket RTMDets."""

from crosskd_lab.methods.crosskd import CrossKD

student = "pocket/rtmdet_r18_w16"
teacher = dict(config="pocket/rtmdet_r18_w32", checkpoint="rtmdet_r18_w32")
methods = [dict(type=CrossKD)]
