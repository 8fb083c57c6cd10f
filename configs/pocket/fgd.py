"""FGD at pocket scale: attention, masks and global context of the neck."""

from crosskd_lab.methods import FGD

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=FGD, channels=64)]
