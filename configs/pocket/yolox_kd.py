"""Plain prediction mimicking between pocket YOLOXs: joint scores and boxes."""

from crosskd_lab.methods.crosskd import PredictionMimicking

student = "pocket/yolox_r18_w16"
teacher = dict(config="pocket/yolox_r18_w32", checkpoint="yolox_r18_w32")
methods = [dict(type=PredictionMimicking)]
