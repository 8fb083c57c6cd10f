"""Table 2: features or predictions, PKD at four places against CrossKD.

`pkd_neck`, `pkd_cls`, `pkd_reg` and `pkd_cls_reg` imitate features by PKD on the neck, at layer 3
of one tower, or of both. `crosskd` has i = 3, `crosskd_pkd` adds PKD on the neck.
"""

table = 2
rows = {
    "none": ("pocket/none", {}),
    "pkd_neck": ("pocket/pkd", {}),
    "pkd_cls": ("pocket/pkd", {"methods.0.where": ("cls",)}),
    "pkd_reg": ("pocket/pkd", {"methods.0.where": ("reg",)}),
    "pkd_cls_reg": ("pocket/pkd", {"methods.0.where": ("cls", "reg")}),
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
    "crosskd_pkd": ("pocket/crosskd_pkd", {}),
}
