"""The slow regime: students that train six times as long, to near their own ceiling."""

regime = "slow"
rows = {
    "none": ("pocket/none", {}),
    "kd": ("pocket/kd", {}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
}
