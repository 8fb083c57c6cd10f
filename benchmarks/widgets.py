"""How soon a notebook's widgets answer: every control of every notebook, moved in its own kernel.

    python benchmarks/widgets.py [NAME ...] [--scale smoke] [--moves 50]

Runs each notebook (all, or those whose names begin so), then moves each of its sliders and menus
from value to value and times from setting the value until its callback is done and what it shows is
on its way to the browser. Run it while nothing else runs. It keeps to two cores. The bar: 100 ms at
the 95th percentile.

A new notebook, or a new control of one, is measured without a change here. `answers` counts the
moves after which a picture or text was another. Buttons are not pressed: they start runs. The way
to the browser and its painting are not in the time.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbformat.notebooknode import NotebookNode

from crosskd_lab.notebook.book import Cover, covers, execute

BAR = 100.0  # ms
CORES = 2


def move_all(moves: int) -> list[dict[str, Any]]:
    """Move every control that lives in this process; its source runs in a notebook's kernel.

    Returns:
        A control each, in the order of their making: ``label``, ``kind``, ``values`` that it has,
        ``ms``, one time a move, and ``answers``, how many moves gave a picture or text anew.
    """
    import gc
    import time

    import ipywidgets

    kinds = (ipywidgets.IntSlider, ipywidgets.SelectionSlider, ipywidgets.Dropdown)
    gc.collect()  # all that is left then stands in the order of its making
    made = [one for one in gc.get_objects() if issubclass(type(one), ipywidgets.DOMWidget)]
    shows = [one for one in made if isinstance(one, (ipywidgets.Image, ipywidgets.HTML))]
    measured = []
    for control in [one for one in made if isinstance(one, kinds)]:
        if isinstance(control, ipywidgets.IntSlider):
            values = list(range(control.min, control.max + 1, control.step))
        else:
            values = [v[1] if isinstance(v, tuple) else v for v in control.options]
        start, times, answers = control.value, [], 0
        after = values[values.index(start) + 1 :] + values[: values.index(start) + 1]
        for move in range(moves if len(values) > 1 else 0):
            before = [show.value for show in shows]
            began = time.perf_counter()
            control.value = after[move % len(after)]
            times.append(1000 * (time.perf_counter() - began))
            answers += before != [show.value for show in shows]
        control.value = start
        kind = type(control).__name__
        about = {"label": control.description, "kind": kind, "values": len(values)}
        measured.append({**about, "ms": times, "answers": answers})
    return measured


def with_moves(cover: Cover, moves: int, folder: Path) -> Cover:
    """A copy of a notebook that ends by moving all its controls."""
    notebook = nbformat.read(cover.path, as_version=4)
    code = "from typing import Any\nimport json\n\n" + inspect.getsource(move_all)
    code = f"from __future__ import annotations\n{code}\nprint(json.dumps(move_all({moves})))"
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    path = folder / cover.path.name
    nbformat.write(notebook, path)
    return cover._replace(path=path)


def measure(cover: Cover, scale: str, moves: int) -> list[dict[str, Any]]:
    """What `move_all` measures at the end of a notebook."""
    with tempfile.TemporaryDirectory() as folder:
        copy, out = with_moves(cover, moves, Path(folder)), Path(folder) / "out"
        out.mkdir()
        chapter = execute(copy, out, {"scale": scale})
        if chapter.error:
            raise SystemExit(f"{cover.path.stem}: {chapter.error}")
        last: NotebookNode = nbformat.read(out / copy.path.name, as_version=4).cells[-1]
    (said,) = [output.text for output in last.outputs if output.get("name") == "stdout"]
    return json.loads(said)


def main() -> None:
    """Print a line a control, and whether all hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[""], metavar="NAME")
    parser.add_argument("--scale", default="smoke")
    parser.add_argument("--moves", type=int, default=50)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    print(f"{'notebook':28}{'control':34}{'values':>7}{'answers':>9}{'p50, ms':>9}{'p95, ms':>9}")
    slow = 0
    for cover in covers():
        if not cover.path.name.startswith(tuple(options.names)):
            continue
        for found in measure(cover, options.scale, options.moves):
            control = f"{found['label']} ({found['kind']})"
            line = f"{cover.path.stem[:27]:28}{control[:33]:34}{found['values']:7}"
            line += f"{found['answers']:9}"
            if not found["ms"]:
                print(f"{line}  one value: nothing to move", flush=True)
                continue
            middle, high = np.percentile(found["ms"], [50, 95])
            slow += high > BAR
            verdict = "holds" if high <= BAR else "does not"
            print(f"{line}{middle:9.1f}{high:9.1f}  {verdict}", flush=True)
    print(f"bar: {BAR:.0f} ms at the 95th percentile;", f"{slow} above it" if slow else "all hold")


if __name__ == "__main__":
    main()
