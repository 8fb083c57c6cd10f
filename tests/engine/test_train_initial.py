"""A pretrained backbone is loaded whole or refused."""

import pytest
import torch
from torch import nn

from crosskd_lab.engine.train import WholeBackbone
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT
from crosskd_lab.stack.checkpoints import read_weights, save_weights


def test_all_weights_are_loaded(tmp_path):
    weights = {"weight": torch.full((2, 3), 0.5), "bias": torch.tensor([1.0, -2.0])}
    save_weights(weights, tmp_path / "w.safetensors")
    layer = nn.Linear(3, 2)
    WholeBackbone(str(tmp_path / "w.safetensors"))(layer)
    assert torch.equal(layer.weight, weights["weight"]) and torch.equal(layer.bias, weights["bias"])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"weight": torch.ones(2, 3)}, "has no weights for bias"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(2), "fc": torch.ones(1)}, "lacks: fc"),
        ({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, "has other shapes for weight"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, weights, said):
    save_weights(weights, tmp_path / "w.safetensors")
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(LabError, match=said):
        WholeBackbone(str(tmp_path / "w.safetensors"))(layer)
    assert torch.equal(layer.weight, before)


def test_relative_files_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "data/backbones/r18_w16.safetensors"
    assert (
        read_weights(WholeBackbone(name).checkpoint).keys() == read_weights(PROJECT / name).keys()
    )
    with pytest.raises(LabError, match="there is no file"):
        WholeBackbone("data/backbones/none.safetensors")(nn.Linear(1, 1))
