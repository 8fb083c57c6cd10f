"""YOLOX, a YOLO-like head: towers of each level's own, SiLU, the score class times objectness.

`crosskd` gives f_1 the teacher's statistics, `crosskd_conv` sends it through a learned 1x1 conv
before that, `crosskd_none` delivers it as it is; `crosskd_0` delivers f_0, the neck's map, and
`crosskd_2` the last hidden one, with the teacher's statistics. `kd_5` and `crosskd_5` weigh what is
distilled by 5, as YOLOX weighs its own boxes, for its detection losses are several times as large
as those of the other pocket heads.
"""

FIVE = {"methods.0.cls_weight": 5.0, "methods.0.reg_weight": 5.0}

rows = {
    "none": (
        "pocket/none",
        {
            "student": "pocket/yolox_r18_w16",
            "teacher.config": "pocket/yolox_r18_w32",
            "teacher.checkpoint": "yolox_r18_w32",
        },
    ),
    "kd": ("pocket/yolox_kd", {}),
    "crosskd": ("pocket/yolox_crosskd", {}),
    "crosskd_conv": ("pocket/yolox_crosskd", {"methods.0.align": "conv"}),
    "crosskd_none": ("pocket/yolox_crosskd", {"methods.0.align": "none"}),
    **{f"crosskd_{i}": ("pocket/yolox_crosskd", {"methods.0.i": i}) for i in (0, 2)},
    "kd_5": ("pocket/yolox_kd", FIVE),
    "crosskd_5": ("pocket/yolox_crosskd", FIVE),
}
