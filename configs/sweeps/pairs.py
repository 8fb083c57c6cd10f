"""Four kinds of teacher for the GFL student: pairs whose gain their conflict may predict.

Table 7's rows and those of an FCOS teacher.
"""

from pathlib import Path
from runpy import run_path

# Table 7's rows, and a fourth kind that the paper's table does not have.
FCOS = {"teacher.config": "pocket/fcos_r18_w32", "teacher.checkpoint": "fcos_r18_w32"}
rows = run_path(str(Path(__file__).with_name("table7.py")))["rows"] | {
    "kd_from_fcos": ("pocket/kd", FCOS),
    "crosskd_from_fcos": ("pocket/crosskd", FCOS),
}
