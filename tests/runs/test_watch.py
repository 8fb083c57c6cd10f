"""The live picture of a run, with a run that only pretends."""

import time

import pandas as pd

from crosskd_lab.runs.watch import Watch, describe


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


def test_it_looks_until_the_run_is_over():
    watch = Watch(Pretend(), every=0.01)
    first = bytes(watch.image.value)
    assert "running, step 1 of 3" in watch.line.value
    assert "&lt;loss &amp; more&gt;" in watch.log.value
    watch.start()
    deadline = time.monotonic() + 20
    while watch._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "done, step 3 of 3" in watch.line.value
    assert bytes(watch.image.value[:4]) == b"\x89PNG" and bytes(watch.image.value) != first
    looks = watch.run.looks
    time.sleep(0.05)
    assert watch.run.looks == looks, "it went on looking at a run that is over"


def test_where_no_widget_runs_there_is_a_picture():
    shown = Watch(Pretend(), every=0.01)._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(shown)


def test_one_line_says_it():
    state = {"status": "running", "step": 40, "of": 240, "left": 185.0}
    assert describe(state) == "running, step 40 of 240, 3 min left"
    assert describe({**state, "left": 20.4}) == "running, step 40 of 240, 20 s left"
    failed = {"status": "failed", "step": 3, "of": 0, "left": None}
    assert describe(failed, "loss_cls is nan") == "failed, step 3: loss_cls is nan"
