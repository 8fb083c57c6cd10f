"""A pocket GFL student of another kind of teacher, ATSS (Tab. 7)."""

from crosskd_lab.methods import CrossKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/atss_r18_w32", checkpoint="atss_r18_w32")
methods = [dict(type=CrossKD)]
