"""``crosskd-lab race`` says what can be named, and refuses other names in one line."""

import pytest

from crosskd_lab.cli.training import method_names
from crosskd_lab.configs import CONFIGS, read_config


def test_help_lists_what_can_be_named(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, said, _ = run("race", "--help")
    said = " ".join(said.replace("│", " ").split())
    assert code == 0
    for name in ("atss_r18_w16, atss_r18_w32", "crosskd, crosskd_kd", "gfl_r18_w32", "random:NAME"):
        assert name in said


@pytest.mark.parametrize("option", ["--student", "--teacher", "--methods"])
def test_an_unknown_name_is_one_line(run, tmp_path, option):
    code, _, error = run("race", option, "magic", "--out", tmp_path / "race")
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("crosskd-lab: ") and "'magic'" in error and "choose from" in error
    assert not (tmp_path / "race").exists()


def test_all_are_none_and_every_method_that_the_student_of_the_race_can_have():
    names = method_names("all")
    assert names[0] == "none" and {"crosskd_pkd", "crosskd_kd"} < set(names)
    assert len(names) == len(set(names)) and method_names(" kd, pkd,") == ["kd", "pkd"]
    used = set()
    for name in names:
        entries = read_config(CONFIGS / "pocket" / f"{name}.py").get("methods", [])
        used |= {getattr(entry["type"], "__name__", entry["type"]) for entry in entries}
    priors = {"FitNets", "InsideGT", "DeFeat", "MainRegion", "FineGrained", "FGD", "GID", "SKD"}
    assert priors | {"LD", "PKD", "CrossKD", "PredictionMimicking"} <= used, used
