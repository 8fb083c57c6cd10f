"""The slow regime: students that train six times as long, for twelve epochs."""

regime = "slow"
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
