"""The three sources of numbers: the paper's tables, the recorded runs, and yours.

Every frame says in its column ``source`` which of them it is.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crosskd_lab.errors import LabError, tell_once
from crosskd_lab.files import PROJECT
from crosskd_lab.record import find_runs, method_name, read_metrics, read_record, runs_frame

AP_COLUMNS = ["AP", "AP50", "AP75", "APS", "APM", "APL"]
PAPER, RECORDED = PROJECT / "data" / "paper", PROJECT / "data" / "recorded"
ABOUT = ["run", "method", "seed"]
RUN_COLUMNS = ["source", "run", "method", "options", "seed", "status", "AP"]


def paper_table(number: int) -> pd.DataFrame:
    """Table 1-8 of the paper, one row a row of the table; ``data/paper/README.md`` has the columns.

    AP and its parts in points from 0 to 100, NaN where the paper prints none. Words that the
    paper leaves out are empty. ``source`` is "paper".

    Raises:
        LabError: there is no such table, or ``data/paper`` is missing.
    """
    if number not in range(1, 9):
        raise LabError(f"the paper's text has Tables 1 to 8, not {number}")
    path = PAPER / f"table{number}.csv"
    if not path.is_file():
        raise LabError(f"data/paper/{path.name} is missing: use a whole checkout of the project")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in ["row", *AP_COLUMNS, "gain"]:
        frame[column] = pd.to_numeric(frame[column])
    frame.insert(0, "source", "paper")
    return frame


def recorded(path: str | Path = RECORDED) -> pd.DataFrame:
    """The runs that are shipped with the project, one row a run; ``source`` is "recorded"."""
    return _runs(path, "recorded")


def yours(root: str | Path = "runs") -> pd.DataFrame:
    """Your own runs below ``root``, one row a run; ``source`` is "yours". Empty before the first.

    The other columns are those of `crosskd_lab.record.runs_frame`.
    """
    return _runs(root, "yours")


def curves(root: str | Path) -> pd.DataFrame:
    """The metrics of all runs below ``root``, one row a logged row, with ``run, method, seed``."""
    frames = [_curve(Path(root), folder) for folder in find_runs(root)]
    logged = [frame for frame in frames if not frame.empty]
    if not logged:
        return pd.DataFrame(columns=[*ABOUT, "step"])
    return pd.concat(logged, ignore_index=True)


def _runs(root: str | Path, source: str) -> pd.DataFrame:
    frame = runs_frame(root)
    if frame.empty:
        return pd.DataFrame(columns=RUN_COLUMNS)
    frame.insert(0, "source", source)
    return frame


def _curve(root: Path, folder: Path) -> pd.DataFrame:
    try:
        rows, record = read_metrics(folder), read_record(folder)
    except LabError as error:  # one broken run hides no other
        tell_once(str(error))
        return pd.DataFrame()
    rows["run"], rows["seed"] = folder.relative_to(root).as_posix(), record["seed"]
    rows["method"] = method_name(record["methods"])
    return rows[[*ABOUT, *rows.columns.difference(ABOUT, sort=False)]]
