"""A fourth kind of teacher, FCOS, for the GFL student: one more pair to foretell from conflict."""

teacher = {"teacher.config": "pocket/fcos_r18_w32", "teacher.checkpoint": "fcos_r18_w32"}
rows = {
    "none": ("pocket/none", {}),
    "kd_from_fcos": ("pocket/kd", teacher),
    "crosskd_from_fcos": ("pocket/crosskd", teacher),
}
