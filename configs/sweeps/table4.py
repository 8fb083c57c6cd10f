"""Table 4: plain mimicking added back to CrossKD.

`crosskd_kd` has both losses.
"""

table = 4
rows = {
    "none": ("pocket/none", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
    "kd": ("pocket/kd", {}),
    "crosskd_kd": ("pocket/crosskd_kd", {}),
}
