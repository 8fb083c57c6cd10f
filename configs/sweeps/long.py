"""Past the ceiling: students that train four times as long as those of the slow regime.

`kd` mimics with the student's own head, `crosskd` has i = 3.
"""

regime = "long"
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
