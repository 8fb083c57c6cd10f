"""CrossKD between pocket Faster R-CNNs: the student's RoI features through the teacher's layers."""

from crosskd_lab.methods import CrossKD

student = "pocket/faster_r18_w16"
teacher = dict(config="pocket/faster_r18_w32", checkpoint="faster_r18_w32")
methods = [dict(type=CrossKD)]
