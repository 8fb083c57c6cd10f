"""Main Region at pocket scale: the neck imitates at the assigner's positives."""

from crosskd_lab.methods import MainRegion

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=MainRegion)]
