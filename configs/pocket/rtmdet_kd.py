"""Plain prediction mimicking between pocket RTMDets: joint scores and boxes."""

from crosskd_lab.methods.crosskd import PredictionMimicking

student = "pocket/rtmdet_r18_w16"
teacher = dict(config="pocket/rtmdet_r18_w32", checkpoint="rtmdet_r18_w32")
methods = [dict(type=PredictionMimicking)]
