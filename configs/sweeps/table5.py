"""Table 5: CrossKD among the methods of its time.

Each row is one method, named as in `configs/pocket`; `crosskd` has i = 3, `crosskd_pkd` adds PKD.
`assistant_head` is HEAD, which the paper's table does not have.
"""

table = 5
METHODS = ("fitnets", "inside_gt", "defeat", "main_region", "fine_grained", "fgd", "gid", "skd")
rows = {
    "none": ("pocket/none", {}),
    **{method: (f"pocket/{method}", {}) for method in (*METHODS, "ld", "pkd")},
    "crosskd": ("pocket/crosskd", {"methods.0.i": 3}),
    "crosskd_pkd": ("pocket/crosskd_pkd", {}),
    # HEAD, related work that the paper's table does not have
    "assistant_head": ("pocket/assistant_head", {}),
}
