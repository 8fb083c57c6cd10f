"""PKD at pocket scale: the neck's features imitate the teacher's."""

from crosskd_lab.methods import PKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=PKD)]
