"""The race at a scale that says nothing about methods: that it runs, resumes, refuses and tells."""

from __future__ import annotations

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.race import load_race, run_race
from crosskd_lab.record import read_record

SMALL = {"schedule.batch": 4, "data.size": 96}
STEPS, METHODS = 3, ("none", "crosskd")


@pytest.fixture(scope="module")
def raced(tmp_path_factory, scenes_dir):
    """A finished race of two methods and two seeds, and the rows that its listener was told."""
    out, told = tmp_path_factory.mktemp("race") / "race", []
    result = run_race(
        out,
        STEPS,
        seeds=2,
        methods=METHODS,
        data=scenes_dir,
        settings=SMALL,
        listener=lambda *row: told.append(row),
    )
    return result, told


def test_a_row_for_every_validation_of_every_student(raced):
    curves = raced[0].curves
    found = {tuple(row) for row in curves[["method", "seed", "step"]].itertuples(index=False)}
    assert found == {(m, s, k) for m in ("none", "CrossKD") for s in (0, 1) for k in (1, 2, 3)}
    assert curves[["AP", "l1_teacher", "l1_truth"]].notna().all(axis=None)


def test_the_listener_hears_of_each_student_in_turn(raced):
    order = list(dict.fromkeys((method, seed) for method, seed, _ in raced[1]))
    assert order == [("none", 0), ("crosskd", 0), ("none", 1), ("crosskd", 1)]


def test_all_students_of_a_seed_start_alike_and_differ_by_their_losses(raced):
    folder = raced[0].folder
    methods = [read_record(folder / f"{m}-s0")["methods"] for m in METHODS]
    assert [[m["type"] for m in listed] for listed in methods] == [[], ["CrossKD"]]
    teachers = {read_record(folder / f"{m}-s0")["teacher"]["sha256"] for m in METHODS}
    assert len(teachers) == 1


def test_figure_text_and_numbers_lie_in_the_folder(raced):
    folder = raced[0].folder
    assert {"race.png", "race.svg", "race.md", "race.csv"} <= {p.name for p in folder.iterdir()}
    assert (folder / "race.md").read_text().strip() == raced[0].paragraph
    assert "2 seeds each" in raced[0].paragraph


def test_a_finished_race_is_read_and_not_run_again(raced, scenes_dir):
    before = {p: p.stat().st_mtime_ns for p in raced[0].folder.glob("*/record.json")}
    again = run_race(
        raced[0].folder, STEPS, seeds=2, methods=METHODS, data=scenes_dir, settings=SMALL
    )
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert again.curves.equals(raced[0].curves)
    assert load_race(raced[0].folder).teacher_ap == raced[0].teacher_ap


def test_an_interrupted_race_goes_on_and_ends_as_if_it_had_not_been(tmp_path, scenes_dir, raced):
    def stop(method, seed, row):
        if method == "crosskd" and row["step"] == 2:
            raise KeyboardInterrupt

    plan = dict(steps=STEPS, methods=METHODS, data=scenes_dir, settings=SMALL)
    with pytest.raises(KeyboardInterrupt):
        run_race(tmp_path / "race", listener=stop, **plan)
    with pytest.raises(LabError, match="no finished race"):
        load_race(tmp_path / "race")
    resumed = run_race(tmp_path / "race", **plan).curves
    whole = raced[0].curves.query("seed == 0")
    for column in ("method", "step", "AP", "l1_teacher", "l1_truth"):
        assert resumed[column].tolist() == whole[column].tolist(), column


def test_another_race_is_not_mixed_into_the_folder(raced, scenes_dir):
    with pytest.raises(LabError, match="another steps"):
        run_race(raced[0].folder, 4, methods=METHODS, data=scenes_dir, settings=SMALL)
