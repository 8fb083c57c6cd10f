"""CrossKD between pocket Deformable DETRs: the student's memory through the teacher's decoder."""

from crosskd_lab.methods import DecoderCrossKD

student = "pocket/deformable_r18_w16"
teacher = dict(config="pocket/deformable_r18_w32", checkpoint="deformable_r18_w32")
methods = [dict(type=DecoderCrossKD, delivered="memory")]
