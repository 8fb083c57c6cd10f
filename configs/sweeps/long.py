"""Past the ceiling: students that train four times as long as those of the slow regime.

`kd` mimics with the student's own head, `crosskd` has i = 3.
"""

from pathlib import Path
from runpy import run_path

regime = "long"
rows = run_path(str(Path(__file__).with_name("regime.py")))["rows"]
