"""Inside GT Box at pocket scale: the neck imitates inside objects' boxes."""

from crosskd_lab.methods import InsideGT

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=InsideGT)]
