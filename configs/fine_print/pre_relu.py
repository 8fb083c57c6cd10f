"""CrossKD with f_i read before the activation, as its authors meant it and their code did not."""

from crosskd_lab.methods import CrossKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=CrossKD, i=3)]
tap = "pre_relu"
