"""Beyond dense heads: Faster R-CNN, and Deformable DETR, each taught by its own kind.

`FAMILY_kd` mimics with the student's own head, `FAMILY_crosskd` delivers at i = 0,
`faster_crosskd_1` at i = 1.
"""


def own(family):
    """Student and teacher of one family."""
    teacher = f"{family}_r18_w32"
    return {
        "student": f"pocket/{family}_r18_w16",
        "teacher.config": f"pocket/{teacher}",
        "teacher.checkpoint": teacher,
    }


rows = {
    "faster_none": ("pocket/none", own("faster")),
    "faster_kd": ("pocket/faster_kd", {}),
    "faster_crosskd": ("pocket/faster_crosskd", {}),
    "faster_crosskd_1": ("pocket/faster_crosskd", {"methods.0.i": 1}),
    "deformable_none": ("pocket/none", own("deformable")),
    "deformable_kd": ("pocket/deformable_kd", {}),
    "deformable_crosskd": ("pocket/deformable_crosskd", {}),
}
