"""What can be trained by name: the pocket scale's parts, and the paper's rows as one table."""

import re
from contextlib import suppress
from typing import Any

import pandas as pd

from ..configs import CONFIGS, read_config, teacher_file
from ..errors import LabError
from ..paper import paper_table


def detectors() -> list[str]:
    """Detectors that may be student or teacher: ``gfl_r18_w16`` for configs/pocket/gfl_r18_w16.py.

    A detector's name is its head's family, its backbone and the backbone's width.
    """
    return [name for name in _pocket() if re.search(r"_w\d", name)]


def methods() -> list[str]:
    """Ways to train a student that are not tied to one family: ``none``, ``kd``, ``crosskd`` ..."""
    families = {name.split("_")[0] for name in detectors()}
    return [name for name in _pocket() if name.split("_")[0] not in families]


def _pocket() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "pocket").glob("*.py"))


def recipes() -> pd.DataFrame:
    """One row a config below ``configs/paper``.

    ``recipe, table, row, teacher, student, method, AP`` (the paper's, in points; NaN where none is
    published), ``epochs``, ``images`` (a step, over all GPUs at the recipe's batch rule),
    ``teacher_here`` (whether the teacher's file is on this machine). LabError without any config.
    """
    rows = [_row(path.stem) for path in sorted((CONFIGS / "paper").glob("*.py"))]
    if not rows:
        raise LabError(
            f"there is no config in {CONFIGS / 'paper'}: use a whole checkout of the project"
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values(["table", "row"], na_position="last").reset_index(drop=True)


def _row(name: str) -> dict[str, Any]:
    cfg = read_config(f"paper/{name}")
    student = read_config(cfg.student)
    place = dict(cfg.get("paper", {}))
    found: dict[str, Any] = {"recipe": f"paper/{name}", "table": None, "row": None, "AP": None}
    if place:
        table = paper_table(place["table"]).set_index("row")
        printed = table.loc[place["row"]]
        found |= place | {k: printed[k] for k in ("teacher", "student", "method", "AP")}
        found["position"] = printed["position"]
    found |= {"epochs": student.train_cfg.get("max_epochs"), "teacher_here": False}
    with suppress(LabError):
        found["teacher_here"] = bool(teacher_file(cfg.teacher["checkpoint"]))
    return found | {"images": student.auto_scale_lr.base_batch_size}
