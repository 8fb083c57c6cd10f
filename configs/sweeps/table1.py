"""Table 1: the layer i whose feature is delivered to the teacher's head.

`kd` mimics with the student's own head (the paper's row LD), `crosskd_i` is CrossKD at layer i.
"""

table = 1
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    **{f"crosskd_{i}": ("pocket/crosskd", {"methods.0.i": i}) for i in range(5)},
}
