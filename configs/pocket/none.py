"""The student alone at pocket scale; the teacher is only there to be measured against."""

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = []
