"""A training takes no more memory after many steps than after some."""

import psutil
import pytest

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import train


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_memory_is_flat(scenes_dir, tmp_path):
    settings = {"teacher.checkpoint": "random", "data.size": 64, "schedule.batch": 2}
    settings |= {"schedule.steps": 600, "schedule.warmup": 1, "schedule.validate_every": 50}
    cfg = load_experiment("pocket/crosskd", settings, scenes_dir, 0)
    taken = []
    me = psutil.Process()
    train(cfg, tmp_path / "run", listeners=[lambda row: taken.append(me.memory_info().rss)])
    first, last = taken[len(taken) // 4 : len(taken) // 2], taken[-len(taken) // 4 :]
    assert max(last) < 1.05 * max(first), [size // 2**20 for size in taken]
