"""CrossKD at pocket scale: f_i of the student goes through the teacher's last layers (i = 3)."""

from crosskd_lab.methods import CrossKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=CrossKD)]
