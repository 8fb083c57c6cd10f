"""Table 8: a student of another backbone than its teacher's, MobileNetV2 for a ResNet.

A RetinaNet student; `pkd` imitates features on the neck, `crosskd` has i = 3.
"""

table = 8
PAIR = {
    "student": "other_backbones/retinanet_mv2",
    "teacher.config": "pocket/retinanet_r18_w32",
    "teacher.checkpoint": "retinanet_r18_w32",
}
rows = {
    "none": ("pocket/none", PAIR),
    "pkd": ("pocket/pkd", PAIR),
    "crosskd": ("pocket/crosskd", {**PAIR, "methods.0.i": 3}),
}
