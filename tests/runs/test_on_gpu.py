"""``launch --gpus 1``: a run on the GPU, killed in the middle and resumed to its end."""

import contextlib

import psutil
import pytest
import torch

from crosskd_lab.engine.hooks import last_checkpoint
from crosskd_lab.engine.record import read_record
from crosskd_lab.runs import processes as process
from crosskd_lab.runs.launch import launch

pytestmark = pytest.mark.cuda


def test_a_run_on_a_gpu_is_killed_and_goes_on(small, tmp_path, until):
    run = launch(**small(60), gpus=1, restarts=0)
    until(lambda: last_checkpoint(run.folder) or run.status == "failed")
    assert run.status != "failed", run.tail()
    torchrun = process.find(run.folder)
    for one in (*torchrun.children(recursive=True), torchrun):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    assert run.wait(60) != "done"
    run.resume()
    assert run.wait(90) == "done", run.tail()
    record = read_record(run.folder)
    assert (
        run.step == 60
        and record["resumed"]
        and record["extra"]["gpus"] == [torch.cuda.get_device_name()]
    )
    assert run.results()["AP"] >= 0
