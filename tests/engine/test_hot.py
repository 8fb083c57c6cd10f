"""Hot functions: as written on a CPU; compiled on a GPU, or as written after one line."""

import pytest
import torch

from crosskd_lab.engine import precision as module
from crosskd_lab.engine.precision import compile_hot, hot


class OnGpu(torch.Tensor):
    """Says that it is on a GPU."""

    is_cuda = True


@pytest.fixture(autouse=True)
def as_before():
    yield
    compile_hot(False)


def test_a_cpu_runs_it_as_written(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *a, **k: pytest.fail("compiled"))
    compile_hot()
    assert hot(lambda x: x + 1)(torch.ones(2)).tolist() == [2, 2]


def test_on_a_gpu_it_is_compiled_once_and_only_when_asked(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f, **k: compiled.append(f) or (lambda x: "fast"))
    x, double = OnGpu(torch.ones(2)), hot(lambda x: 2 * x)
    assert double(x).tolist() == [2, 2] and not compiled
    compile_hot()
    assert double(x) == double(x) == "fast" and len(compiled) == 1


def test_where_torch_cannot_compile_one_line_says_so(monkeypatch):
    def broken(x):
        raise RuntimeError("no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda f, **k: broken)
    compile_hot()
    with pytest.warns(UserWarning, match="cannot compile here, going on without: no compiler$"):
        assert hot(lambda x: x + 1)(OnGpu(torch.ones(2))).tolist() == [2, 2]
    assert not module._state["compiling"]
