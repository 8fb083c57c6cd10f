"""CrossKD with plain mimicking added back at pocket scale (Tab. 4's last row)."""

from crosskd_lab.methods import CrossKD, PredictionMimicking

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=CrossKD), dict(type=PredictionMimicking)]
