"""Table 6: RetinaNet, FCOS and ATSS, each taught by its own kind.

`FAMILY_none` has no teacher, `FAMILY_crosskd` the shipped teacher of its family.
"""

table = 6
FAMILIES = ("retinanet", "fcos", "atss")


def own(family):
    """Student and teacher of one family."""
    teacher = f"{family}_r18_w32"
    return {
        "student": f"pocket/{family}_r18_w16",
        "teacher.config": f"pocket/{teacher}",
        "teacher.checkpoint": teacher,
    }


rows = {}
for family in FAMILIES:
    rows[f"{family}_none"] = ("pocket/none", own(family))
    rows[f"{family}_crosskd"] = (f"pocket/{family}_crosskd", {})
