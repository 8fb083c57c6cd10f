"""LD at pocket scale: box-edge distributions and classes imitate near objects."""

from crosskd_lab.methods import LD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=LD)]
