"""benchmarks/term_gradients.py: the terms add up, and looking does not disturb the training."""

from pathlib import Path

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.methods.pkd import PKD

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import term_gradients

    return term_gradients


def test_the_terms_add_up_to_what_training_follows(script, make_pair, make_batch):
    model = Distiller(pair=make_pair(), methods=[CrossKD(), PKD()]).eval()
    inputs, samples = make_batch()
    found = script.term_gradients(model, inputs, samples)
    methods = {"loss_crosskd_cls", "loss_crosskd_reg", "loss_pkd_neck"}
    assert set(found) == {"detection", *methods}
    whole, _ = model.parse_losses(model.loss(inputs, samples))
    whole.backward()
    pulls = [w.new_zeros(w.shape) if w.grad is None else w.grad for w in model.parameters()]
    own = torch.cat([pull.flatten() for pull in pulls])
    torch.testing.assert_close(sum(found.values()), own, rtol=1e-4, atol=1e-6)


def test_looking_leaves_the_training_as_it_was(script, tiny, tmp_path):
    prepare_engine()
    ended, hook = [], script.TermGradients([1, 3], clip=1e-6)
    for seen, hooks in enumerate([[], [hook]]):
        runner = build_runner(tiny(), tmp_path / str(seen))
        for one in hooks:
            runner.register_hook(one, "LOWEST")
        runner.train()
        ended.append(runner.model.state_dict())
    assert all(torch.equal(value, ended[1][key]) for key, value in ended[0].items())
    assert set(hook.found) == {1, 3} and hook.clipped == [1, 2, 3, 4]
