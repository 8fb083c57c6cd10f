"""YOLOX from a wider teacher: a student of 48 channels in pyramid and head, a teacher of 64.

`crosskd_1` sends f_1 through a learned 1x1 conv a branch and gives it the teacher's statistics.
"""

MIDDLE = {"student": "pocket/yolox_r18_w16_middle"}
CONV = {**MIDDLE, "methods.0.align": "conv", "methods.0.i": 1}
TEACHER = {"teacher.config": "pocket/yolox_r18_w32", "teacher.checkpoint": "yolox_r18_w32"}
rows = {
    "none": ("pocket/none", {**MIDDLE, **TEACHER}),
    "kd": ("pocket/yolox_kd", MIDDLE),
    "crosskd_1": ("pocket/yolox_crosskd", CONV),
}
