"""``crosskd-lab recipes``: the rows of the paper that can be trained here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Csv, Wide
from .show import print_table, write_csv

if TYPE_CHECKING:
    import pandas as pd

SHOWN = {
    "recipe": "recipe",
    "teacher": "teacher",
    "student": "student",
    "method": "method",
    "AP": "paper's\nAP",
    "epochs": "epochs",
    "images": "images\na step",
    "gpu_hours": "GPU-\nhours",
    "teacher_here": "teacher\nhere",
}


def recipes(
    table: Annotated[int | None, typer.Option(help="Only this table of the paper, 1 to 8.")] = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """List the paper's recipes: what each re-makes, what the paper reports, what is still missing.

    Start one with 'crosskd-lab launch RECIPE --gpus 8 --data COCO'. The paper says eight GPUs with
    two images each; the rate follows the batch. GPU-hours are estimated from a step that
    'crosskd-lab plan RECIPE' has measured on a GPU, and not guessed where it has not.
    """
    from ..errors import LabError
    from ..runs.recipes import recipes as listed

    frame = with_hours(listed())
    if table is not None:
        frame = frame[frame["table"] == table]
        if frame.empty:
            raise LabError(f"no recipe belongs to table {table}: the paper has Tables 1 to 8")
    drop = ("images", "epochs", "gpu_hours", "student", "teacher")
    print_table(frame.to_dict("records"), SHOWN, drop, wide)
    print(_footnote(frame))
    write_csv(frame, csv)


def with_hours(frame: pd.DataFrame) -> pd.DataFrame:
    """The recipes with ``gpu_hours`` and ``measured_on``, both empty where no step was measured."""
    from ..runs.forecast import newest, paper_gpu_hours

    steps = [newest(name) for name in frame["recipe"]]
    pairs = zip(steps, frame["images"], strict=True)
    hours = [paper_gpu_hours(step, images) if step else float("nan") for step, images in pairs]
    return frame.assign(gpu_hours=hours, measured_on=[step and step.device for step in steps])


def _footnote(frame: pd.DataFrame) -> str:
    """Where the GPU-hours come from, or how to get them."""
    devices = ", ".join(sorted(set(frame["measured_on"].dropna())))
    said = []
    if devices:
        said.append(f"GPU-hours: foretold from one step on {devices}; see docs/plan.md.")
    if frame["gpu_hours"].isna().any():
        said.append("GPU-hours –: no step measured on a GPU yet; 'crosskd-lab plan RECIPE' does.")
    return "\n".join(said)
