"""GID at pocket scale: the neck imitates where the two models disagree."""

from crosskd_lab.methods import GID

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=GID)]
