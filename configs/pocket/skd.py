"""SKD at pocket scale: the neck imitates the structure of patches."""

from crosskd_lab.methods import SKD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=SKD)]
