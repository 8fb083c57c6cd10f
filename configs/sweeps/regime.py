"""The slow regime: students that train six times as long, for twelve epochs.

`kd` mimics with the student's own head, `crosskd` has i = 3.
"""

regime = "slow"
seeds = (0, 1, 2, 3, 4)
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
