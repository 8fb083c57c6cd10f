"""Four kinds of teacher for the GFL student: pairs whose gain their conflict may foretell."""

# Table 7's rows, and a fourth kind that the paper's table does not have.
FCOS = {"teacher.config": "pocket/fcos_r18_w32", "teacher.checkpoint": "fcos_r18_w32"}
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
rows |= {
    "kd_from_fcos": ("pocket/kd", FCOS),
    "crosskd_from_fcos": ("pocket/crosskd", FCOS),
}
