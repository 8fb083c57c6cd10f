"""DeFeat at pocket scale: foreground and background imitate apart."""

from crosskd_lab.methods import DeFeat

student = "pocket/gfl_r18_w16"
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="gfl_r18_w32")
methods = [dict(type=DeFeat)]
