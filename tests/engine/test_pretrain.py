"""The side task: a backbone learns to name single shapes and is saved with its record."""

import pytest
import torch

from crosskd_lab.configs import read_config
from crosskd_lab.engine import pretrain as module
from crosskd_lab.engine.pretrain import Classifier, pretrain
from crosskd_lab.engine.record import read_record
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT, sha256
from crosskd_lab.pair import WholeBackbone, build_detector
from crosskd_lab.stack.checkpoints import read_weights


@pytest.fixture(autouse=True)
def engine():
    prepare_engine()


def test_a_pretrained_backbone_is_saved_with_its_record(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CROP", 32)  # small crops: this is about files, not accuracy
    out = tmp_path / "w16.safetensors"
    accuracy = pretrain("pocket/gfl_r18_w16", out, count=32, held_out=16, epochs=2, batch=16)
    record = read_record(tmp_path / "w16")
    assert 0 <= accuracy <= 100 and record["results"]["accuracy"] == accuracy
    assert record["status"] == "done" and record["results"]["sha256"] == sha256(out)
    backbone = build_detector(read_config("pocket/gfl_r18_w16").model).backbone
    WholeBackbone(str(out))(backbone)  # raises if a weight is missing or left over
    saved = read_weights(out)["layer4.1.conv2.weight"]
    assert torch.equal(backbone.state_dict()["layer4.1.conv2.weight"], saved)


def test_of_an_experiment_it_is_the_students_backbone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CROP", 32)
    pretrain("pocket/crosskd", tmp_path / "b.safetensors", count=8, held_out=8, epochs=1, batch=8)
    backbone = build_detector(read_config("pocket/gfl_r18_w16").model).backbone
    WholeBackbone(str(tmp_path / "b.safetensors"))(backbone)


def test_an_attempt_that_was_broken_off_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CROP", 32)
    words = dict(count=16, held_out=16, epochs=1, batch=16)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "_fit", raises(KeyboardInterrupt))
        pretrain("pocket/gfl_r18_w16", tmp_path / "w.safetensors", **words)
    assert read_record(tmp_path / "w")["status"] == "running"
    pretrain("pocket/gfl_r18_w16", tmp_path / "w.safetensors", **words)
    assert read_record(tmp_path / "w")["status"] == "done"
    with pytest.raises(LabError, match="holds a run already"):
        pretrain("pocket/gfl_r18_w16", tmp_path / "w.safetensors", **words)


def raises(error):
    def function(*_):
        raise error

    return function


def test_another_suffix_is_refused_before_there_is_work_to_lose(tmp_path):
    with pytest.raises(LabError, match=r"pre\.pth: weights are saved as \.safetensors"):
        pretrain("pocket/gfl_r18_w16", tmp_path / "pre.pth")
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CROP", 32)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.safetensors"
        pretrain("pocket/gfl_r18_w16", out, count=16, held_out=4, epochs=1, batch=8, seed=seed)
    a, b, c = (sha256(tmp_path / f"{name}.safetensors") for name in "abc")
    assert a == b != c


def test_the_classifier_reads_the_last_stage():
    class Stages(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return images, 2 * images

    model = Classifier(Stages(), channels=3)
    images = torch.rand(4, 3, 5, 5)
    expected = model.linear(2 * images.mean((2, 3)))
    assert torch.allclose(model(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("r18_w16", "pocket/gfl_r18_w16"),
        ("r18_w32", "pocket/gfl_r18_w32"),
        ("mv2_w025", "other_backbones/retinanet_mv2"),
    ],
)
def test_shipped_backbones_are_those_of_their_records(name, config):
    file, record = (
        PROJECT / f"data/backbones/{name}.safetensors",
        read_record(PROJECT / "data/backbones" / name),
    )
    assert record["results"]["sha256"] == sha256(file)
    assert record["results"]["accuracy"] > 50  # ten classes
    WholeBackbone(str(file))(build_detector(read_config(config).model).backbone)
