"""The slow regime: students that train six times as long, for twelve epochs.

`kd` mimics with the student's own head, `crosskd` has i = 3.
"""

regime = "slow"
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
