"""Table 3: the branches that are distilled, by mimicking and by CrossKD.

`kd` and `crosskd` teach both branches, `_cls` and `_reg` one of them. A CrossKD row's *to KD* is to
the mimicking row of the same branches.
"""

table = 3
ONE = ("cls", "reg")
rows = {
    "none": ("pocket/none", {}),
    **{f"kd_{branch}": ("pocket/kd", {"methods.0.branches": (branch,)}) for branch in ONE},
    "kd": ("pocket/kd", {}),
    **{
        f"crosskd_{branch}": ("pocket/crosskd", {"methods.0.i": 3, "methods.0.branches": (branch,)})
        for branch in ONE
    },
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
