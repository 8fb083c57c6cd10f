"""HEAD's idea at pocket scale: a copy of the teacher's head trains on the student's neck."""

from crosskd_lab.methods import AssistantHead

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=AssistantHead)]
