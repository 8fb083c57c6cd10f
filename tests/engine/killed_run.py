"""Train in children that are killed at given moments; ``python killed_run.py CONFIG FOLDER ...``.

Moments: ``train:N`` once step N is logged (its checkpoint is not yet written), ``ap`` while the
first validation is summed up (its checkpoint is written, its row is not), ``end`` for none. Each
child resumes what the one before has left. Children are forked before torch has any thread.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from crosskd_lab.engine.metrics import BoxAP
from crosskd_lab.engine.train import prepare_engine, train


def live(config: str, folder: Path, moment: str) -> None:
    """Train until the moment comes."""
    kind, _, step = moment.partition(":")

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def listen(row: dict[str, Any]) -> None:
        if row["kind"] == kind and row["step"] == int(step):
            die()

    if kind == "ap":
        BoxAP.compute_metrics = die  # this process has no other use for it
    train(Config.fromfile(config), folder, (folder / "record.json").exists(), listeners=[listen])


def main(config: str, folder: str, *moments: str) -> None:
    """Print how each child ended: 9 for the kill, 0 for the end."""
    prepare_engine()  # here, so that no child has to import mmdet again
    for moment in moments:
        child = os.fork()
        if not child:
            live(config, Path(folder), moment)
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
