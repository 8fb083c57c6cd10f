"""Checkpoints that were cut, or whose headers were changed."""

import random

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.pair import load_in_full
from crosskd_lab.stack.checkpoints import save_weights


@pytest.fixture(scope="module")
def net():
    """A small detector's stand-in."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()


@pytest.fixture(params=[".pth", ".safetensors"])
def saved(request, net, tmp_path):
    """Its weights, as either kind of file."""
    path = tmp_path / f"weights{request.param}"
    if request.param == ".pth":
        torch.save({"state_dict": net.state_dict(), "meta": {"epoch": 1}}, path)
    else:
        save_weights(net.state_dict(), path, half=False)
    return path


def refused_or_right(net, path):
    """Whether a file is refused in one line; if it is not, its weights are those that were saved.

    A byte may be of no weight: a date in a zip file's header, a blank at the end of JSON.
    """
    fresh = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    try:
        load_in_full(fresh, path)
    except LabError as error:
        assert path.name in str(error) and "\n" not in str(error)
        return True
    for name, weight in net.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], weight), name
    return False


def damaged(saved, count, net):
    whole = saved.read_bytes()
    zipped = saved.suffix == ".pth"
    # the directory of the one, which comes last, and the table of the other, which comes first
    first, last = (
        (whole.index(b"PK\x01\x02"), len(whole)) if zipped else (0, whole.index(b"}}") + 2)
    )
    chance = random.Random(saved.suffix)
    for _ in range(count):
        saved.write_bytes(whole[: chance.randrange(len(whole) - 1)])
        assert refused_or_right(net, saved), "a cut file was taken"
        content = bytearray(whole)
        content[chance.randrange(first, last)] ^= 1 << chance.randrange(8)
        saved.write_bytes(content)
        refused_or_right(net, saved)
    saved.write_bytes(whole)
    assert not refused_or_right(net, saved)


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.faults)])
def test_cut_and_changed_files_are_refused(saved, net, count):
    damaged(saved, count, net)


def test_a_weight_under_the_name_of_another_is_refused(net, tmp_path):
    """torch itself takes it: its reader compares neither names nor checksums."""
    path = tmp_path / "weights.pth"
    torch.save(net.state_dict(), path)
    head, mark, directory = path.read_bytes().partition(b"PK\x01\x02")
    swapped = directory.replace(b"/data/1", b"/data/?").replace(b"/data/2", b"/data/1")
    path.write_bytes(head + mark + swapped.replace(b"/data/?", b"/data/2"))
    assert not torch.equal(torch.load(path)["1.weight"], net.state_dict()["1.weight"])
    assert refused_or_right(net, path)
