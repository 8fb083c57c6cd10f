"""Table 2: features or predictions, PKD at four places against CrossKD."""

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
