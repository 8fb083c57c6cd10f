"""Each notebook is executed once, whichever of several test processes comes first."""

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from filelock import FileLock

from crosskd_lab.notebook.book import covers, execute

FOLDERS = {  # what a notebook would otherwise write below runs/
    "02_the_race": ("out", "race"),
    "06_how_training_unfolds": ("race", "race"),
    "08_which_layer": ("out", "runs"),
    "09_train_it_for_real": ("out", "runs"),
    "10_your_own_data": ("out", "runs"),
}


def smoke(name: str, folder: Path) -> dict[str, str]:
    """Parameters for a quick run of a notebook that writes into ``folder`` alone."""
    written = dict([FOLDERS[name]]) if name in FOLDERS else {}
    return {"scale": "smoke"} | {key: str(folder / place) for key, place in written.items()}


class Kernel:
    """A notebook's kernel in a forked child, with what Jupyter asks of its ``Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, child: Callable[..., Any], command: list[str], **popen: Any) -> None:
        code = "import os; os.setsid(); from ipykernel import kernelapp as app; "
        words = command[command.index("-f") :]
        self.process = child(code + "app.launch_new_instance()", *words, env=popen["env"]).process
        self.pid = self.process.pid
        while self.process.is_alive() and os.getpgid(self.pid) != self.pid:
            time.sleep(0.01)  # Jupyter signals the group

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int | None:
        self.process.join()
        return self.process.exitcode


@pytest.fixture(scope="session")
def executed(
    tmp_path_factory: pytest.TempPathFactory, child: Callable[..., Any]
) -> Callable[[str], Path]:
    """``executed(name)``: the file of a notebook after a run at scale smoke.

    The first one runs as a reader's does, in a fresh Python; the others save its imports.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    launch = "jupyter_client.provisioning.local_provisioner.launch_kernel"

    def once(name: str) -> Path:
        (cover,) = (cover for cover in covers() if cover.path.stem == name)
        out = shared / name
        out.mkdir(exist_ok=True)
        failed = out / "error.txt"
        forked = patch(launch, partial(Kernel, child))
        with FileLock(out / "lock"):
            if not failed.exists():
                with contextlib.nullcontext() if name.startswith("00") else forked:
                    failed.write_text(execute(cover, out, smoke(name, out)).error or "")
        assert not (error := failed.read_text()), f"{name}: {error}"
        return out / cover.path.name

    return once
