"""Measurements on disk: whole, found again by recipe, changes and device."""

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.forecast import Measurement, Work, newest


def test_the_length_of_a_run_as_mmdets_logs_have_it():
    """COCO's 117,266 images with boxes, by 16, are the 7,330 steps an epoch of every 1x log."""
    work = Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12)
    assert work.length(8) == 12 * 7330
    assert (work.rate_at(8), work.rate_at(1), work.rate_at(64)) == (0.01, 0.00125, 0.08)


def test_a_recipe_that_counts_steps_keeps_them():
    work = Work(batch=16, rate=0.02, steps=1500)
    assert [work.length(n) for n in (1, 8)] == [1500, 1500]
    assert work.rate_at(8) == 0.02


def test_it_is_read_as_it_was_written(measured, tmp_path):
    one = measured(settings={"schedule.batch": 4})
    path = one.write(tmp_path)
    assert Measurement.read(path) == one
    assert path.name.startswith("paper-table5_crosskd-") and path.name.endswith(".round-gpu.json")


def test_the_newest_of_its_kind_is_found(measured, tmp_path):
    measured().write(tmp_path)
    measured(date="2026-02-01T00:00:00+00:00", device="Other GPU", step=0.1).write(tmp_path)
    measured(date="2026-03-01T00:00:00+00:00", device="A CPU", gpu=False).write(tmp_path)
    measured(date="2026-04-01T00:00:00+00:00", settings={"tap": "pre_relu"}).write(tmp_path)
    name = "paper/table5_crosskd"
    assert newest(name, folder=tmp_path).device == "Other GPU"
    assert newest(name, device="A CPU", folder=tmp_path).date.startswith("2026-03")
    assert newest(name, device="Round GPU", folder=tmp_path).settings == {}
    assert newest(name, {"tap": "pre_relu"}, folder=tmp_path).date.startswith("2026-04")
    assert newest("paper/table1_i3", folder=tmp_path) is None
    assert newest(name, folder=tmp_path / "nowhere") is None


def test_measured_again_replaces(measured, tmp_path):
    assert measured().write(tmp_path) == measured(step=0.3).write(tmp_path)
    assert newest("paper/table5_crosskd", folder=tmp_path).step == 0.3


def test_what_is_no_measurement_is_named(tmp_path):
    with pytest.raises(
        LabError, match=r"gone.json cannot be read \(No such file.*\): 'crosskd-lab plan' makes one"
    ):
        Measurement.read(tmp_path / "gone.json")
    for text in ("{", "[]", '{"work": {"colour": "red"}}', "{}"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(LabError, match="bad.json is (no measured step|broken)"):
            Measurement.read(tmp_path / "bad.json")
