"""RTMDet of three widths: students of 32 and 48 channels in pyramid and head, a teacher of 64.

As s, m and l of the public sizes stand to each other (128, 192 and 256). `s_` and `m_` are the
students; `crosskd_i` sends f_i through a learned 1x1 conv a branch and gives it the teacher's
statistics, `plain` leaves the statistics out.
"""

S = {"student": "pocket/rtmdet_r18_w16_narrow"}
M = {"student": "pocket/rtmdet_r18_w16_middle"}
CONV = {"methods.0.align": "conv"}
PLAIN = {"type": "crosskd_lab.cross_head.ConvAlign", "then": "none"}
TEACHER = {"teacher.config": "pocket/rtmdet_r18_w32", "teacher.checkpoint": "rtmdet_r18_w32"}
rows = {
    "s_none": ("pocket/none", {**S, **TEACHER}),
    "s_kd": ("pocket/rtmdet_kd", S),
    **{
        f"s_crosskd_{i}": ("pocket/rtmdet_crosskd", {**S, **CONV, "methods.0.i": i})
        for i in range(3)
    },
    "s_crosskd_1_plain": (
        "pocket/rtmdet_crosskd",
        {**S, "methods.0.i": 1, "methods.0.align": PLAIN},
    ),
    "m_none": ("pocket/none", {**M, **TEACHER}),
    "m_kd": ("pocket/rtmdet_kd", M),
    "m_crosskd_1": ("pocket/rtmdet_crosskd", {**M, **CONV, "methods.0.i": 1}),
}
