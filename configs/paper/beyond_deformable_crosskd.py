"""Beyond the tables: Deformable DETR R50 to R18, 50 epochs; no AP is published."""

from crosskd_lab.methods import DecoderCrossKD

student = "paper/parts/deformable_r18"
teacher = dict(
    config="mmdet::deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py",
    checkpoint="deformable_r50",
)
methods = [dict(type=DecoderCrossKD, delivered="memory")]

# No public file is named here: train it, or put one as data/teachers/deformable_r50.safetensors
