"""The list of recipes: every row at its place in the paper's tables, named by its file."""

import pandas as pd
import pytest

from crosskd_lab.configs import CONFIGS, TEACHERS, listed, teachers
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT
from crosskd_lab.runs.recipes import detectors, methods, recipes


def test_each_recipe_stands_beside_its_row():
    frame = recipes().set_index("recipe")
    assert len(frame) == 47
    best = frame.loc["paper/table5_crosskd_pkd"]
    assert (best["table"], best["row"], best["AP"], best["student"]) == (5, 14, 43.9, "GFL-R50")
    assert frame.loc["paper/table7_retinanet_kd", "AP"] == 30.3
    assert frame.loc["paper/table6_fcos_crosskd", ["AP", "epochs"]].tolist() == [41.3, 24]
    assert frame.loc["paper/beyond_faster_crosskd", ["AP", "table"]].isna().all()


def test_names_and_rows_agree():
    """The config's name against what the paper prints in the row that it claims."""
    words = {
        "crosskd": "CrossKD",
        "pkd": "PKD",
        "kd": ("LD", "KD"),
        "none": "none",
        "crosskd_pkd": "CrossKD+PKD",
        "crosskd_kd": "CrossKD+LD",
    }
    frame = recipes().dropna(subset=["table"])
    assert not frame.duplicated(["table", "row"]).any()
    for _, row in frame.iterrows():
        name = row["recipe"].partition("_")[2]
        for part in ("atss_", "retinanet_", "fcos_", "swin_t_", "mobilenet_v2_"):
            name = name.removeprefix(part)
        if row["table"] == 1 and name.startswith("i"):
            assert (row["method"], row["position"]) == ("CrossKD", name[1:])
        elif name in words:
            assert row["method"] in words[name], row["recipe"]
    trained = pd.read_csv(PROJECT / "data/paper/table5.csv")
    assert set(frame[frame["table"] == 5]["row"]) == set(
        trained[trained["role"] != "teacher"]["row"]
    )


FAMILIES = ("atss", "fcos", "gfl", "retinanet")


def test_every_pocket_detector_is_named():
    wanted = {f"{family}_r18_w{width}" for family in FAMILIES for width in (16, 32)}
    assert wanted <= set(detectors())
    assert all((CONFIGS / "pocket" / f"{name}.py").is_file() for name in detectors())


def test_a_detectors_name_ends_in_its_width(monkeypatch, tmp_path):
    (tmp_path / "pocket").mkdir()
    for name in ("gfl_r18_w16", "two_way", "my_weighted"):
        (tmp_path / "pocket" / f"{name}.py").touch()
    monkeypatch.setattr("crosskd_lab.runs.recipes.CONFIGS", tmp_path)
    assert detectors() == ["gfl_r18_w16"] and methods() == ["my_weighted", "two_way"]
    with pytest.raises(LabError, match="there is no config in .*paper: use a whole checkout"):
        recipes()


def test_methods_are_those_of_no_family():
    assert {"none", "kd", "crosskd", "crosskd_pkd", "fine_grained"} <= set(methods())
    assert not {"gfl_from_atss", "fcos_crosskd", *detectors()} & set(methods())


def test_teachers_are_files():
    assert "gfl_r18_w32" in teachers()
    assert all((TEACHERS / f"{name}.safetensors").is_file() for name in teachers())


def test_nothing_is_said_to_be_nothing():
    assert (listed(["a", "b"]), listed([])) == ("a, b", "none")
