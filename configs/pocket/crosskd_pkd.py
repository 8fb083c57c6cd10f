"""CrossKD with PKD on the neck at pocket scale."""

from crosskd_lab.methods import PKD, CrossKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=CrossKD), dict(type=PKD)]
