"""CrossKD between pocket ATSSs, where and as strongly as the authors had it."""

from crosskd_lab.methods import CrossKD

student = "pocket/atss_r18_w16"
teacher = dict(config="pocket/atss_r18_w32", checkpoint="atss_r18_w32")
methods = [dict(type=CrossKD)]
