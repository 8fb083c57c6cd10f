"""By whatever name mmengine is asked for a checkpoint, it is read weights only."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import checkpoint as theirs
from mmengine.runner import load_checkpoint

from crosskd_lab.errors import LabError
from crosskd_lab.stack.weights import hub_file, register_checkpoint_loader


class Bomb:
    """A pickle that makes a file when it is read without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def saved(content, **how):
    memory = io.BytesIO()
    torch.save(content, memory, **how)
    return memory.getvalue()


GOOD = saved({"state_dict": {"weight": torch.tensor([[2.0]]), "bias": torch.tensor([1.0])}})
ZOOS = ("torchvision", "modelzoo", "open-mmlab", "openmmlab", "mmcls")


@pytest.fixture(autouse=True)
def engine(site, tmp_path, monkeypatch):
    """mmengine with our reader, empty caches, and a model named ``net`` in every zoo."""
    monkeypatch.setattr(theirs.CheckpointLoader, "_schemes", theirs.CheckpointLoader._schemes)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for zoo in ("torchvision", "external", "mmcls"):
        monkeypatch.setattr(
            theirs, f"get_{zoo}_models", lambda: {"net": f"{site.url}/net-0123abcd.pth"}
        )
    register_checkpoint_loader()
    yield


def read(name):
    """What a layer gives for 3 after mmengine has loaded it."""
    layer = torch.nn.Linear(1, 1)
    load_checkpoint(layer, name, map_location="cpu", strict=True)
    return layer(torch.tensor([3.0])).item()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("zoo", ["http", *ZOOS])
@pytest.mark.parametrize("cached", [False, True])
def test_no_bomb_runs_by_any_scheme(zoo, cached, legacy, site, tmp_path):
    content = saved(
        {"state_dict": {"weight": torch.ones(1)}, "meta": Bomb(tmp_path / "ran")},
        _use_new_zipfile_serialization=not legacy,
    )
    url = f"{site.url}/net-0123abcd.pth"
    if cached:
        hub_file(url).parent.mkdir(parents=True)
        hub_file(url).write_bytes(content)
    else:
        site.files["/net-0123abcd.pth"] = content
    name = url if zoo == "http" else f"{zoo}://net"
    with pytest.raises(LabError, match="asks to run .*: nothing was run"):
        read(name)
    assert not (tmp_path / "ran").exists()
    assert hub_file(url).exists() == cached, "a bomb is not kept"
    torch.load(io.BytesIO(content), weights_only=False)  # our own, just made
    assert (tmp_path / "ran").exists(), "it is live"
    assert len(site.asked) == (not cached)


@pytest.mark.parametrize("zoo", ["http", *ZOOS[:-1]])
def test_a_good_file_loads_by_every_scheme_and_is_kept(zoo, site):
    site.files["/net-0123abcd.pth"] = GOOD
    name = f"{site.url}/net-0123abcd.pth" if zoo == "http" else f"{zoo}://net"
    assert read(name) == 7.0 and read(name) == 7.0
    assert len(site.asked) == 1


def test_mmcls_gives_the_backbone(site):
    weights = {"backbone.weight": torch.tensor([[2.0]]), "backbone.bias": torch.tensor([1.0])}
    site.files["/net-0123abcd.pth"] = saved({**weights, "head.fc.weight": torch.ones(2)})
    assert read("mmcls://net") == 7.0


def test_names_in_the_zoos_are_those_that_mmengine_knows(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(theirs.CheckpointLoader, "_schemes", theirs.CheckpointLoader._schemes)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    register_checkpoint_loader()
    kept = hub_file(theirs.get_torchvision_models()["resnet50"])
    assert re.fullmatch(r"resnet50-[0-9a-f]{8}\.pth", kept.name)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(GOOD)
    assert read("torchvision://resnet50") == 7.0


@pytest.mark.parametrize(
    "name", ["s3://b/x.pth", "petrel://b/x", "open-mmlab:s3://b/x", "pavi://x", "ftp://h/x", "x://"]
)
def test_other_schemes_are_refused(name):
    with pytest.raises(LabError, match="checkpoints are not read from"):
        read(name)


def test_an_unknown_model_is_told():
    for zoo in ZOOS:
        with pytest.raises(LabError, match=f"{zoo}://nett: the zoo has no such model"):
            read(f"{zoo}://nett")


def test_no_reader_of_mmengine_is_left():
    assert list(theirs.CheckpointLoader._schemes) == [""]


def test_offline_says_where_to_put_the_file(site, monkeypatch):
    monkeypatch.setattr(theirs, "get_mmcls_models", lambda: {"net": f"{site.url}/x-0123abcd.pth"})
    with pytest.raises(
        LabError, match=r"404 Not Found: put the file at .*/x-0123abcd\.pth, .*init_cfg=None$"
    ):
        read("mmcls://net")


def test_equal_names_at_two_addresses_are_two_files(site):
    site.files |= {"/a/net.pth": GOOD, "/b/net.pth": saved({"weight": torch.ones(1, 1)})}
    assert read(f"{site.url}/a/net.pth") == 7.0
    layer = torch.nn.Linear(1, 1, bias=False)
    load_checkpoint(layer, f"{site.url}/b/net.pth")
    assert layer.weight.item() == 1.0


def test_what_is_no_checkpoint_is_told_and_not_kept(site):
    site.files["/net-0123abcd.pth"] = b"<html>sign in</html>"
    with pytest.raises(LabError, match=r"net-0123abcd\.pth: .* not a checkpoint"):
        read("torchvision://net")
    site.files["/net-0123abcd.pth"] = GOOD
    assert read("torchvision://net") == 7.0


def test_no_model_code_reads_a_pickle_by_itself():
    """In mmengine's, mmdet's and mmcv's packages all goes through the reader that was replaced."""
    known = {"mmengine/runner/checkpoint.py", "mmengine/utils/dl_utils/hub.py"}
    for package in ("mmengine", "mmdet", "mmcv"):
        root = Path(__import__(package).__file__).parent
        for path in root.rglob("*.py"):
            text = path.read_text("utf-8")
            if ".mim" not in path.parts and re.search(
                r"torch\.load\(|\bload_url\(|load_state_dict_from_url", text
            ):
                assert path.relative_to(root.parent).as_posix() in known
