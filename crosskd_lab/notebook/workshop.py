"""Notebooks for a room of learners: editions without answers, and what was handed in, judged."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from tqdm.auto import tqdm

from ..errors import LabError
from ..files import PROJECT, open_folder, write_whole
from .book import NOTEBOOKS, Cover, chosen, covers, read_cover

ANSWER = re.compile(
    r"\n*<details>\s*<summary>(?:Solution|One answer|How to go about it|Answers|Hint)[^<]*"
    r"</summary>.*?</details>\n*",
    re.DOTALL,
)
EXERCISE, PARAMETERS = "exercise", "parameters"


def student_edition(notebook: Any) -> Any:
    """A notebook without its solutions, hints and answers, which ``<details>`` hold; changed."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = ANSWER.sub("\n\n", cell.source).strip()
    return notebook


def set_scale(notebook: Any, scale: str) -> Any:
    """A notebook whose first parameter says this scale, its outputs cleared; changed."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if PARAMETERS in cell.metadata.get("tags", []):
                cell.source = re.sub(r'(?m)^scale = "\w+"', f'scale = "{scale}"', cell.source)
    return notebook


def pack(
    out: str | Path, only: Sequence[str] = (), scale: str = "cpu", notebooks: Path = NOTEBOOKS
) -> list[Path]:
    """Write ``out/students``, to hand out, and ``out/instructor``, with solutions and answers.

    ``only`` says which chapters, by how their names begin ("04"), ``scale`` what their first cell
    says. Returns the students' files; LabError for a chapter that there is not.
    """
    wanted = chosen(covers(notebooks), only)
    for edition in ("students", "instructor"):
        folder = open_folder(Path(out) / edition)
        for cover in wanted:
            notebook = set_scale(nbformat.read(cover.path, as_version=4), scale)
            if edition == "students":
                notebook = student_edition(notebook)
            write_whole(folder / cover.path.name, nbformat.writes(notebook) + "\n")
    return [Path(out) / "students" / cover.path.name for cover in wanted]


def fetch_wheels(out: str | Path) -> None:
    """Every wheel of the lock, and uv, for machines like this one: ``make demo WHEELS=...``.

    As in set-up, torch comes without CUDA where there is no NVIDIA driver. LabError where pip
    cannot get one; its own words stand above.
    """
    set_up = runpy.run_path(str(PROJECT / "scripts" / "set_up.py"))
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"]
    command += ["--only-binary=:all:", "-d", str(open_folder(out))]
    command += [*set_up["cpu_torch"](), "-r", str(PROJECT / "requirements.lock"), set_up["UV"]]
    if subprocess.run(command).returncode:
        raise LabError(f"pip could not get every wheel into {out}: see above, and try again")


def collect(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Execute what learners handed in, a folder each, at scale smoke and read the judges' answers.

    A cell that fails stops no other. What is executed is the learners' code: do it where that may
    do no harm. One row an exercise: learner, chapter, verdict ("right", "not yet", "no answer"; "no
    exercise" for a chapter without, and for what cannot be read as one) and said, the judge's words
    or the error of the cell. LabError where no folder has a notebook.
    """
    found = [(folder, sorted(Path(folder).glob("*.ipynb"))) for folder in map(Path, folders)]
    handed = [(folder, path) for folder, paths in found for path in paths]
    if not handed:
        raise LabError("no notebooks were handed in: give folders that have some")
    rows = [
        (folder.name, "", "no exercise", f"{folder} holds no notebooks")
        for folder, paths in found
        if not paths
    ]
    for folder, path in tqdm(handed, unit="chapter", disable=None):
        try:
            cover = read_cover(path)
        except LabError as error:  # one learner's stray file stops nobody else's judging
            rows.append((folder.name, path.stem, "no exercise", str(error)))
            continue
        rows += [(folder.name, cover.title, *verdict) for verdict in _judged(cover)]
    return pd.DataFrame(rows, columns=["learner", "chapter", "verdict", "said"])


def _judged(cover: Cover) -> list[tuple[str, str]]:
    notebook = set_scale(nbformat.read(cover.path, as_version=4), "smoke")
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
    )
    stopped = ""
    try:  # cell by cell: `execute` takes Ctrl-C for itself, and goes on
        with client.setup_kernel(env={**os.environ, "JPY_SESSION_NAME": ""}):  # nobody's progress
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
    except (CellTimeoutError, DeadKernelError) as error:
        stopped = str(error).strip().splitlines()[0]
    cells = [c for c in notebook.cells if EXERCISE in c.metadata.get("tags", [])]
    none = [("no exercise", stopped or f"no cell has the tag {EXERCISE}")]
    return [_verdict(cell, stopped) for cell in cells] or none


def _verdict(cell: Any, stopped: str) -> tuple[str, str]:
    """What an exercise's cell ended with."""
    said, error = "", stopped
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            said += output.text
        elif output.output_type == "error":
            error = f"{output.ename}: {output.evalue}"
    lines = [line for line in said.splitlines() if line.startswith(("Right", "Not yet"))]
    if not lines:
        return "no answer", error or "the cell prints no verdict: it ends with its check"
    wrong = [line for line in lines if line.startswith("Not yet")]
    return ("not yet", wrong[0].partition(": ")[2]) if wrong else ("right", lines[-1][7:])
