"""A finished race is loaded, a missing one is run at the scale's length."""

from __future__ import annotations

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook import the_race


class Finished:
    folder = None


@pytest.fixture
def races(monkeypatch, tmp_path):
    """Stand-ins for the race: ``there`` holds what is finished, ``asked`` what was run."""
    there, asked = {}, []

    def load(out):
        if out not in there:
            raise LabError("no finished race")
        return there[out]

    def run(out, **options):
        asked.append((out, options))
        options["listener"]("crosskd", 0, {"kind": "train", "step": 1, "loss": 3.0})
        options["listener"]("crosskd", 0, {"kind": "val", "step": 2, "AP": 12.34})
        return "run"

    monkeypatch.setattr(the_race, "load_race", load)
    monkeypatch.setattr(the_race, "run_race", run)
    monkeypatch.setattr(the_race, "lesson_scenes", lambda scale: tmp_path / scale)
    return there, asked


def test_a_finished_race_is_loaded(races, tmp_path, capsys):
    there, asked = races
    there[tmp_path] = "finished"
    assert the_race.race_at("cpu", tmp_path) == "finished"
    assert not asked
    assert "Loaded your finished race" in capsys.readouterr().out


@pytest.mark.parametrize(("scale", "steps", "seeds"), [("smoke", 6, 1), ("gpu", 1500, 3)])
def test_a_missing_race_is_run(races, tmp_path, capsys, scale, steps, seeds):
    _, asked = races
    assert the_race.race_at(scale, tmp_path) == "run"
    ((out, options),) = asked
    assert (out, options["steps"], options["seeds"]) == (tmp_path, steps, seeds)
    assert options["data"] == tmp_path / scale
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"No finished race yet: running one, {steps} steps a student.",
        "crosskd, seed 0, step 2: AP 12.3",
    ]


def test_smoke_never_touches_the_real_race(races):
    _, asked = races
    the_race.race_at("smoke")
    assert asked[0][0].parts[-2:] == ("runs", "race-smoke")


def test_an_unknown_scale_is_an_error(races):
    with pytest.raises(LabError, match="scale = 'big'"):
        the_race.race_at("big")
