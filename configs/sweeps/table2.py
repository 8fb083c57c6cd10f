"""Table 2: features or predictions, PKD at four places against CrossKD.

`pkd_neck`, `pkd_cls`, `pkd_reg` and `pkd_cls_reg` imitate features by PKD on the neck, at layer 3
of one tower, or of both. `crosskd` has i = 3, `crosskd_pkd` adds PKD on the neck;
`crosskd_double`, its control, is CrossKD alone at twice its weights (as in Table 4).
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
DOUBLE = {"methods.0.cls_weight": 2.0, "methods.0.reg_weight": 8.0}
rows["crosskd_double"] = ("pocket/crosskd", {"methods.0.i": 3, **DOUBLE})
