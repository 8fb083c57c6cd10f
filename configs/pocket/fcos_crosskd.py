"""CrossKD between pocket FCOSs (i = 2), where and as strongly as the authors had it."""

from crosskd_lab.methods import CrossKD

student = "pocket/fcos_r18_w16"
teacher = dict(config="pocket/fcos_r18_w32", checkpoint="fcos_r18_w32")
methods = [dict(type=CrossKD)]
