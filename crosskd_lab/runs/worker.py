"""One training process: ``python -m crosskd_lab.runs.worker FOLDER``, alone or under torchrun."""

import os
import sys
import traceback
from pathlib import Path

import torch

from ..engine.config import load_experiment
from ..engine.record import RECORD, read_record
from ..engine.settings import words_of
from ..engine.train import train
from ..errors import LabError
from .launch import scales
from .processes import LaunchPlan


def work(folder: str | Path) -> None:
    """Train what the folder's plan says, from its last whole checkpoint if there is one.

    LabError for whatever training refuses; and, when torchrun starts the processes again, for a run
    that failed by itself, which would only fail again.
    """
    plan = LaunchPlan.read(folder)
    torch.set_num_threads(plan.threads)  # as was said, whoever started it: torchrun says 1
    begun = (Path(folder) / RECORD).exists()
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if again and begun and read_record(folder)["status"] == "failed":
        raise LabError(f"{folder} failed: {read_record(folder)['reason']}")
    cfg = load_experiment(*plan.said())
    if scales(cfg, plan.processes * plan.nodes, plan.gpus):
        cfg.auto_scale_lr.enable = True
    words = ["crosskd-lab", "launch", plan.config, "--gpus", str(plan.gpus)]
    words += ["--processes", str(plan.processes), "--nodes", str(plan.nodes)]
    words += ["--seed", str(plan.seed), *(["--data", plan.data] if plan.data else [])]
    words += words_of(plan.settings)
    extra = {"processes": plan.processes * plan.nodes, "restarts": again}
    train(cfg, folder, begun, words, extra=extra)


def main() -> None:
    """The process: exit code 0 when the run is done, 1 with one line of reason."""
    try:
        work(sys.argv[1])
    except Exception as error:
        if not isinstance(error, LabError):
            traceback.print_exc()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"crosskd-lab: {reason}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
