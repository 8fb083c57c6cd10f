"""FitNets at pocket scale: the whole neck imitates the teacher's."""

from crosskd_lab.methods import FitNets

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=FitNets)]
