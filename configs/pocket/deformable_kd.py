"""Plain mimicking between pocket Deformable DETRs, query by query of the student."""

from crosskd_lab.methods import DecoderMimicking

student = "pocket/deformable_r18_w16"
teacher = dict(config="pocket/deformable_r18_w32", checkpoint="deformable_r18_w32")
methods = [dict(type=DecoderMimicking)]
