"""Plain mimicking between pocket Faster R-CNNs: the student's own RoI head answers twice."""

from crosskd_lab.methods import PredictionMimicking

student = "pocket/faster_r18_w16"
teacher = dict(config="pocket/faster_r18_w32", checkpoint="faster_r18_w32")
methods = [dict(type=PredictionMimicking)]
