"""A method keeps its look, and figures are written whole."""

import io
import subprocess
import sys

import matplotlib as mpl
import pandas as pd
import pytest

from crosskd_lab.report.figures import race_figure, render, save, styles


def metrics(seeds=1):
    rows = []
    for seed in range(seeds):
        for place, method in enumerate(["none", "KD", "CrossKD"]):
            for step in (100, 200):
                ap = 10.0 * place + step / 100 + seed
                row = {"method": method, "seed": seed, "step": step, "AP": ap}
                rows.append({**row, "l1_teacher": 1 / ap, "l1_truth": 2 / ap})
    return pd.DataFrame(rows)


def test_a_method_looks_the_same_whatever_else_is_drawn():
    names = ["none", "KD", "CrossKD", "CrossKD+PKD", "PKD", "CrossKD+KD", "LD", "FGD", "a", "b"]
    together = styles(names)
    assert len(set(together.values())) == len(names)
    known = names[:7]
    assert len({look.marker for look in styles(known).values()}) == len(known)
    assert len({look.colour for look in styles(known).values()}) == len(known)
    assert all(styles([name])[name] == together[name] for name in ("none", "CrossKD", "FGD"))
    assert styles(reversed(names)) == together
    four = styles(["crosskd_0", "crosskd_1", "crosskd_3", "crosskd_4"])
    assert len({look.colour for look in four.values()}) == 4


def test_a_figure_is_saved_as_png_and_svg_1280_wide(tmp_path):
    written = save(race_figure(metrics()), tmp_path / "deep" / "race.v2.png")
    assert [path.name for path in written] == ["race.v2.png", "race.v2.svg"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == [
        "race.v2.png",
        "race.v2.svg",
    ]
    assert mpl.image.imread(written[0]).shape[1] == 1280
    assert b"<svg" in written[1].read_bytes()[:1000]
    assert [path.name for path in save(race_figure(metrics()), tmp_path / "v1.5")] == [
        "v1.5.png",
        "v1.5.svg",
    ]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_frame_gives_the_same_bytes(kind):
    assert render(race_figure(metrics()), kind) == render(race_figure(metrics()), kind)


def test_a_notebook_shows_a_figure_by_itself():
    picture = mpl.image.imread(io.BytesIO(race_figure(metrics())._repr_png_()))
    assert picture.shape[1] == 1280


def test_figures_are_drawn_without_torch_or_mmdet():
    code = "import sys, crosskd_lab.report.figures; print(*({'torch', 'mmdet'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
