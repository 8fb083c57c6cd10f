"""Editions keep what they shall keep; what is handed in is executed and its verdicts are read."""

from __future__ import annotations

import io
import sys

import nbformat
import pandas as pd
import pytest

from crosskd_lab.cli import main
from crosskd_lab.errors import LabError
from crosskd_lab.notebook import workshop
from crosskd_lab.notebook.book import NOTEBOOKS, covers

PROSE = """### Exercise

Write it.

<details>
<summary>Solution</summary>

```python
SECRET = 1
```

</details>

And then?

<details>
<summary>What to look for</summary>

This stays.

</details>"""


def chapter(folder, exercise, name="01_one"):
    """A chapter of one exercise, executed once as a learner leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    first = nbformat.v4.new_code_cell('scale = "cpu"  # "smoke", "cpu" or "gpu"\ndata = None')
    first.metadata["tags"] = ["parameters"]
    last = nbformat.v4.new_code_cell(exercise)
    last.metadata["tags"] = ["exercise"]
    last.outputs = [nbformat.v4.new_output("stream", text="Right: an old answer\n")]
    last.execution_count = 7
    cells = [nbformat.v4.new_markdown_cell("# One\n\nWhy?"), first]
    cells += [nbformat.v4.new_markdown_cell(PROSE), last]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


def test_students_get_no_answers_and_the_instructor_all(tmp_path):
    lab = chapter(tmp_path / "lab", "print('Not yet: write it')")
    (made,) = workshop.pack(tmp_path / "out", scale="smoke", notebooks=lab)
    ours, theirs = (
        nbformat.read(tmp_path / "out" / edition / made.name, as_version=4)
        for edition in ("students", "instructor")
    )
    assert "SECRET" not in str(ours) and "SECRET" in str(theirs)
    assert ours.cells[2].source == (
        "### Exercise\n\nWrite it.\n\nAnd then?\n\n<details>\n<summary>What to look for</summary>"
        "\n\nThis stays.\n\n</details>"
    )
    for edition in (ours, theirs):
        assert edition.cells[1].source.startswith('scale = "smoke"  # "smoke", "cpu" or "gpu"\n')
        assert edition.cells[3].outputs == [] and edition.cells[3].execution_count is None
    with pytest.raises(LabError, match="no notebook begins with '07'"):
        workshop.pack(tmp_path / "out", ["07"], notebooks=lab)


def test_no_answer_of_the_labs_own_chapters_is_left():
    for cover in covers(NOTEBOOKS):
        edition = workshop.student_edition(nbformat.read(cover.path, as_version=4))
        prose = "\n".join(c.source for c in edition.cells if c.cell_type == "markdown")
        left = [line for line in prose.splitlines() if "<summary>" in line]
        assert all("What to look for" in line for line in left), (cover.path.name, left)
        assert prose.count("<details>") == prose.count("</details>")


def test_hand_ins_are_executed_and_judged(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("JPY_SESSION_NAME", "instructor.ipynb")  # whose progress is not theirs
    chapter(
        tmp_path / "ada",
        "import os\nprint(f'Right: {6 * 7} at {scale}', os.environ['JPY_SESSION_NAME'])",
    )
    chapter(tmp_path / "bob", "print('Right: this')\nprint('Not yet: the mean is 3, not 2')")
    chapter(tmp_path / "cyd", "undefined_name")
    chapter(tmp_path / "dan", "pass")
    chapter(tmp_path / "eve", "import os\nos._exit(1)")
    cut = nbformat.read(chapter(tmp_path / "fay", "pass") / "01_one.ipynb", as_version=4)
    cut.cells = [cell for cell in cut.cells if "exercise" not in cell.metadata.get("tags", [])]
    nbformat.write(cut, tmp_path / "fay" / "01_one.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "fay" / "Untitled.ipynb")
    (tmp_path / "gus.zip").write_text("no folder")
    names = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus.zip")
    folders = [tmp_path / name for name in names]
    table = tmp_path / "verdicts.csv"
    with pytest.raises(SystemExit) as ended:
        main(["workshop", "collect", *map(str, folders), "--csv", str(table)])
    assert not ended.value.code
    rows = pd.read_csv(table).fillna("").set_index("learner")
    (nothing, stray) = rows.loc["gus.zip"], rows.loc["fay"].iloc[-1]
    assert (nothing["verdict"], stray["chapter"]) == ("no exercise", "Untitled")
    assert nothing["said"].endswith("gus.zip holds no notebooks")
    assert "the first cell must be Markdown" in stray["said"]
    judged = rows.drop(index="gus.zip")[lambda rows: rows["chapter"] != "Untitled"]
    assert [",".join(row) for row in judged[["verdict", "said"]].to_numpy()] == [
        "right,42 at smoke ",
        "not yet,the mean is 3, not 2",
        "no answer,NameError: name 'undefined_name' is not defined",
        "no answer,the cell prints no verdict: it ends with its check",
        "no answer,Kernel died",
        "no exercise,no cell has the tag exercise",
    ]
    told = capsys.readouterr().out
    assert "the mean is 3, not 2" in told
    assert "ada: 1 right, bob: 0 right" in told and "fay: 0 right" in told


def test_ctrl_c_stops_the_judging(tmp_path, as_at_a_terminal):
    press = "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(30)"
    chapter(tmp_path / "ada", press)
    with pytest.raises(KeyboardInterrupt):
        workshop.collect([tmp_path / "ada"])


def test_wheels_are_those_of_the_lock_and_uv(tmp_path, monkeypatch):
    asked = []

    class Done:
        returncode = 0

    monkeypatch.setattr(workshop.subprocess, "run", lambda command: asked.append(command) or Done)
    monkeypatch.setattr("shutil.which", lambda name: None)  # no NVIDIA driver
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO())
    workshop.fetch_wheels(tmp_path / "wheels")
    (command,) = asked
    assert command[2:4] == ["pip", "download"] and "--only-binary=:all:" in command
    assert command[-1].startswith("uv==") and command[-2].endswith("requirements.lock")
    if sys.platform != "darwin":
        at = command.index("--extra-index-url")
        assert command[at + 1].endswith("/whl/cpu"), "a room without GPUs takes no CUDA"
    Done.returncode = 1
    with pytest.raises(LabError, match="pip could not get every wheel"):
        workshop.fetch_wheels(tmp_path / "wheels")


def test_the_agenda_adds_up_and_names_chapters_that_there_are():
    text = (NOTEBOOKS.parent / "docs" / "workshop.md").read_text(encoding="utf-8")
    for heading, minutes in (("Ninety minutes", 90), ("Three hours", 180)):
        rows = text.partition(f"## {heading}")[2].partition("\n## ")[0].splitlines()
        cells = [row.split("|")[1].strip() for row in rows if row.startswith("| ")]
        spent = [int(cell) for cell in cells if cell != "minutes"]
        assert sum(spent) == minutes, heading


def test_folders_without_notebooks_are_told(tmp_path):
    with pytest.raises(LabError, match="no notebooks were handed in: give folders that have some"):
        workshop.collect([tmp_path])
