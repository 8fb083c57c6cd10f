"""Table 7: teachers of another kind, ATSS and RetinaNet, for a GFL student."""

table = 7
rows = {"none": ("pocket/none", {})}
for family in ("atss", "retinanet"):
    name = f"{family}_r18_w32"
    teacher = {"teacher.config": f"pocket/{name}", "teacher.checkpoint": name}
    rows[f"kd_from_{family}"] = ("pocket/kd", teacher)
    rows[f"crosskd_from_{family}"] = (f"pocket/gfl_from_{family}", {})
