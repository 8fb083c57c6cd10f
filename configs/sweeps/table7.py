"""Table 7: teachers of another kind, ATSS and RetinaNet, for a GFL student.

`none`, `kd` and `crosskd` are Table 1's, taught by GFL; `kd_from_X` and `crosskd_from_X` have a
teacher of kind X, and *to KD* is to mimicking the same teacher. `kd_from_retinanet_triple`, a
control, mimics at three times the weights: CrossKD's terms begin 2.8 times as large there.
"""

table = 7
# The teacher of the student's own kind comes first, to be compared with.
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
for family in ("atss", "retinanet"):
    name = f"{family}_r18_w32"
    teacher = {"teacher.config": f"pocket/{name}", "teacher.checkpoint": name}
    rows[f"kd_from_{family}"] = ("pocket/kd", teacher)
    rows[f"crosskd_from_{family}"] = (f"pocket/gfl_from_{family}", {})
TRIPLE = {"methods.0.cls_weight": 3.0, "methods.0.reg_weight": 3.0}
rows["kd_from_retinanet_triple"] = ("pocket/kd", {**rows["kd_from_retinanet"][1], **TRIPLE})
