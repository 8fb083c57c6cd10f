"""Table 4: plain mimicking added back to CrossKD.

`crosskd_kd` has both losses; `crosskd_double` and `kd_double`, its controls, have one of them at
twice the weights, so that two losses and one stronger loss come apart.
"""

table = 4
DOUBLE = {"methods.0.cls_weight": 2.0, "methods.0.reg_weight": 8.0}
rows = {
    "none": ("pocket/none", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
    "kd": ("pocket/kd", {}),
    "crosskd_kd": ("pocket/crosskd_kd", {}),
    "crosskd_double": ("pocket/crosskd", {"methods.0.i": 3, **DOUBLE}),
    "kd_double": ("pocket/kd", DOUBLE),
}
