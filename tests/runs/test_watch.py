"""The live picture of a run, with a run that only pretends."""

import time

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.watch import Watch, describe, gpu_use


class Pretend:
    """A run that is done at the third look."""

    reason = None

    def __init__(self):
        self.looks = 0

    @property
    def status(self):
        return "done" if self.looks > 2 else "running"

    def state(self):
        self.looks += 1
        return {"status": self.status, "step": self.looks, "of": 3, "left": None}

    def metrics(self):
        steps = range(1, self.looks + 1)
        return pd.DataFrame([{"step": s, "kind": "train", "loss": 1 / s} for s in steps])

    def tail(self, lines=20):
        return "<loss & more>"


def test_it_looks_until_the_run_is_over(until):
    watch = Watch(Pretend(), every=0.01)
    first = bytes(watch.image.value)
    assert "running, step 1 of 3" in watch.line.value
    assert "&lt;loss &amp; more&gt;" in watch.log.value
    watch.start()
    until(lambda: not watch._thread.is_alive())
    assert "done, step 3 of 3" in watch.line.value
    assert bytes(watch.image.value[:4]) == b"\x89PNG" and bytes(watch.image.value) != first
    looks = watch.run.looks
    time.sleep(0.05)
    assert watch.run.looks == looks, "it went on looking at a run that is over"


def test_a_run_that_was_resumed_is_looked_at_again(until):
    watch = Watch(Pretend(), every=0.01).start()
    until(lambda: not watch._thread.is_alive())
    watch.run.looks = 0
    watch.start()
    until(lambda: watch.run.looks > 2)


def test_a_reason_is_told_of_what_is_over():
    state = {"status": "running", "step": 3, "of": 9}
    assert describe(state, "interrupted") == "running, step 3 of 9"
    assert describe(state | {"status": "failed"}, "loss is nan").endswith("of 9: loss is nan")


def test_the_line_tells_when_it_was_seen_and_what_a_dead_kernel_leaves():
    watch = Watch(Pretend())
    assert "(seen at " in watch.line.value and "nobody looks any more" in watch.line.value
    watch.run.looks = 5
    watch.look()
    assert "nobody looks" not in watch.line.value, "a run that is over is not waited for"


class Stoppable(Pretend):
    refuses = False
    stopped = False

    @property
    def status(self):
        return "stopped" if self.stopped else "running"

    def stop(self):
        if self.refuses:
            raise LabError("it runs on <another> machine")
        self.stopped = True


@pytest.mark.parametrize("refuses", [False, True])
def test_the_button_stops_the_run_or_says_why_not(refuses, until):
    run = Stoppable()
    run.refuses = refuses
    watch = Watch(run)
    assert not watch.button.disabled
    watch.button.click()
    if refuses:
        until(lambda: "it runs on &lt;another&gt; machine" in watch.log.value)
        until(lambda: not watch.button.disabled)
    else:
        until(lambda: "stopped, step" in watch.line.value)
        assert watch.button.disabled


def test_where_no_widget_runs_there_is_a_picture():
    watch = Watch(Pretend(), every=0.01)
    shown = watch._repr_mimebundle_()
    watch._thread.join(20)  # a picture that is drawn while Python ends aborts it
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(shown)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo NVIDIA-SMI has failed because it could not reach the driver; exit 9", ""),
        ("echo 0, 35, 1200, 81559", "GPU 0: 35 %, 1200 of 81559 MB"),
    ],
)
def test_what_the_gpus_do_is_said_where_they_answer(tmp_path, monkeypatch, body, said):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpu_use() == said


def test_one_line_says_it():
    state = {"status": "running", "step": 40, "of": 240, "left": 185.0}
    assert describe(state) == "running, step 40 of 240, 3 min left"
    assert describe({**state, "left": 20.4}) == "running, step 40 of 240, 20 s left"
    failed = {"status": "failed", "step": 3, "of": 0, "left": None}
    assert describe(failed, "loss_cls is nan") == "failed, step 3: loss_cls is nan"
