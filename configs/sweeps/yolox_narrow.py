"""YOLOX from a wider teacher: a student of 32 channels in pyramid and head, a teacher of 64.

`crosskd_i` sends f_i through a learned 1x1 conv a branch and gives it the teacher's statistics;
`crosskd_1_plain` leaves the statistics out.
"""

NARROW = {"student": "pocket/yolox_r18_w16_narrow"}
CONV = {**NARROW, "methods.0.align": "conv"}
PLAIN = {"type": "crosskd_lab.cross_head.ConvAlign", "then": "none"}
TEACHER = {"teacher.config": "pocket/yolox_r18_w32", "teacher.checkpoint": "yolox_r18_w32"}
rows = {
    "none": ("pocket/none", {**NARROW, **TEACHER}),
    "kd": ("pocket/yolox_kd", NARROW),
    **{f"crosskd_{i}": ("pocket/yolox_crosskd", {**CONV, "methods.0.i": i}) for i in range(3)},
    "crosskd_1_plain": (
        "pocket/yolox_crosskd",
        {**NARROW, "methods.0.i": 1, "methods.0.align": PLAIN},
    ),
}
