"""Fine-Grained at pocket scale: the neck imitates near objects."""

from crosskd_lab.methods import FineGrained

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=FineGrained)]
