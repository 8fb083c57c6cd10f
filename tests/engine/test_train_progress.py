"""The bar: where a run is, how long it will take, its latest loss and AP."""

import re

from crosskd_lab.engine.train import StepBar


def test_it_shows_step_time_left_loss_and_ap(capsys):
    bar = StepBar(200, "student")
    bar.bar.start_t -= 10  # as if it had run for ten seconds
    bar({"step": 50, "kind": "train", "loss": 1.234})
    bar({"step": 50, "kind": "val", "AP": 12.34})
    assert bar.bar.n == 50
    bar.bar.refresh()
    bar.close()
    shown = capsys.readouterr().err
    assert "student" in shown and "50/200" in shown and "loss=1.23" in shown and "AP=12.3" in shown
    assert re.search(r"\[00:10<00:(29|30|31),", shown)  # 150 steps at 5 a second


def test_steps_of_an_earlier_sitting_are_not_this_ones_speed(capsys):
    bar = StepBar(200, "student", begun=100)
    bar.bar.start_t -= 10
    bar({"step": 150, "kind": "train", "loss": 1.0})
    bar.bar.refresh()
    bar.close()
    assert re.search(r"150/200 \[00:10<00:(09|10|11),", capsys.readouterr().err)
