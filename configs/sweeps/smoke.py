"""A small sweep whose records the tests make again: does the code still do what it did?"""

regime = "fast"
seeds = [0]
scenes = {"size": 96, "train": 24, "val": 8, "seed": 0}
test = {"size": 96, "train": 0, "val": 0, "test": 8, "seed": 500}
settings = {
    "data.size": 96,
    "schedule.steps": 12,
    "schedule.warmup": 4,
    "schedule.batch": 4,
    "schedule.validate_every": 12,
}
rows = {"crosskd": ("pocket/crosskd", {"methods.0.i": 3}), "kd": ("pocket/kd", {})}
