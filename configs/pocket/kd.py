"""Plain prediction mimicking at pocket scale: the student's own head mimics the teacher's."""

from crosskd_lab.methods import PredictionMimicking

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=PredictionMimicking)]
