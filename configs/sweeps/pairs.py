"""Eleven pairs of student and teacher whose gain their conflict may predict.

Table 7's rows and those of an FCOS teacher, all with a GFL student; the same from the same four
kinds of teacher after 1,000 steps, `early`, so that kind and strength come apart; then an ATSS, a
RetinaNet and an FCOS student of their own kind's teacher.
"""

from pathlib import Path
from runpy import run_path

HERE = Path(__file__).parent
FCOS = {"teacher.config": "pocket/fcos_r18_w32", "teacher.checkpoint": "fcos_r18_w32"}
rows = run_path(str(HERE / "table7.py"))["rows"] | {
    # a fourth kind, which the paper's table does not have
    "kd_from_fcos": ("pocket/kd", FCOS),
    "crosskd_from_fcos": ("pocket/crosskd", FCOS),
}
for kind in ("gfl", "atss", "retinanet", "fcos"):
    early = {
        "teacher.config": f"pocket/{kind}_r18_w32",
        "teacher.checkpoint": f"{kind}_early_r18_w32",
    }
    rows[f"kd_from_{kind}_early"] = ("pocket/kd", early)
    crossed, changed = rows.get(f"crosskd_from_{kind}", rows["crosskd"])
    rows[f"crosskd_from_{kind}_early"] = (crossed, changed | early)
table6 = run_path(str(HERE / "table6.py"))
for family in ("atss", "retinanet", "fcos"):
    rows[f"{family}_none"] = table6["rows"][f"{family}_none"]
    rows[f"{family}_kd"] = ("pocket/kd", table6["own"](family))
    rows[f"{family}_crosskd"] = table6["rows"][f"{family}_crosskd"]
