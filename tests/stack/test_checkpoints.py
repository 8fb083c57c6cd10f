import json
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file, save_file

from crosskd_lab.errors import LabError
from crosskd_lab.stack.checkpoints import load_from_local, read_weights, save_weights


class Call:
    """A pickle that calls ``function(*args)`` when it is read without care."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


@pytest.fixture
def weights():
    return {
        "conv.weight": torch.tensor([[0.1, -2.0], [3.5, 1e-3]]),
        "bn.num_batches_tracked": torch.tensor(70000),
    }


@pytest.fixture
def run_checkpoint(weights):
    """What mmengine's runner writes: weights, log histories, NumPy numbers and arrays."""
    history = HistoryBuffer()
    history.update(2.0)
    history.update(4.0)
    info = {"iter": np.int64(7), "loss": np.float32(0.5), "done": np.bool_(True)}
    return {
        "meta": {"iter": 7, "dataset_meta": {"palette": np.array([[1, 2, 3]], dtype=np.uint8)}},
        "message_hub": {"log_scalars": {"loss": history}, "runtime_info": info},
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": []},
        "state_dict": weights,
    }


def test_half_precision_is_saved_and_read_as_float32(weights, tmp_path):
    path = tmp_path / "new" / "teacher.safetensors"
    save_weights(weights, path)
    read = read_weights(path)
    assert read["conv.weight"].dtype == torch.float32
    # float16 has 11 significant bits: 0.1 becomes 1638 / 16384.
    assert read["conv.weight"][0].tolist() == [1638 / 16384, -2.0]
    assert read["bn.num_batches_tracked"].item() == 70000
    assert load_file(path)["conv.weight"].dtype == torch.float16
    assert [file.name for file in path.parent.iterdir()] == ["teacher.safetensors"]


def test_full_precision_is_kept_on_request(weights, tmp_path):
    save_weights(weights, tmp_path / "w.safetensors", half=False)
    read = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(read["conv.weight"], weights["conv.weight"])


def test_weights_that_share_memory_or_are_views_are_saved(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    save_weights({"a": tied, "b": tied, "c": tied.T}, tmp_path / "w.safetensors", half=False)
    assert read_weights(tmp_path / "w.safetensors")["c"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_weight_too_large_for_float16_is_refused_and_nothing_written(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(LabError, match=r"'running_var'.*half=False"):
        save_weights({"running_var": torch.tensor([1e5])}, path)
    assert not path.exists()
    save_weights({"bound": torch.tensor([float("inf")])}, path)  # infinite to begin with
    assert load_file(path)["bound"].tolist() == [float("inf")]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(LabError, match=r"w\.pth.*\.safetensors"):
        save_weights({"a": torch.ones(1)}, tmp_path / "w.pth")


def test_read_weights_takes_the_state_dict_of_a_run(run_checkpoint, weights, tmp_path):
    torch.save(run_checkpoint, tmp_path / "run.pth")
    torch.save({"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "bare.pth")
    read = read_weights(tmp_path / "run.pth")
    assert read.keys() == weights.keys()
    assert torch.equal(read["conv.weight"], weights["conv.weight"])
    assert read_weights(tmp_path / "bare.pth")["w"].dtype == torch.float32
    torch.save({"model_state_dict": weights, "epoch": 3}, tmp_path / "other.pth")
    assert read_weights(tmp_path / "other.pth").keys() == weights.keys()
    torch.save({"model": {"type": "GFL"}, "model_state_dict": weights}, tmp_path / "told.pth")
    assert read_weights(tmp_path / "told.pth").keys() == weights.keys()


def test_a_run_resumes_from_its_own_checkpoint(run_checkpoint, tmp_path):
    torch.save(run_checkpoint, tmp_path / "run.pth")
    read = load_from_local(tmp_path / "run.pth", map_location="cpu")
    history = read["message_hub"]["log_scalars"]["loss"]
    assert isinstance(history, HistoryBuffer)
    assert history.statistics("mean", 2) == 3.0
    assert read["message_hub"]["runtime_info"] == {"iter": 7, "loss": 0.5, "done": True}
    assert read["meta"]["dataset_meta"]["palette"].tolist() == [[1, 2, 3]]
    assert read["optimizer"]["state"][0]["momentum_buffer"].tolist() == [1, 1]


def test_a_config_inside_a_checkpoint_is_not_run(tmp_path):
    meta = {"epoch": 1, "iter": 2, "config": f"open({str(tmp_path / 'ran')!r}, 'w')"}
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": meta}, tmp_path / "run.pth")
    assert load_from_local(tmp_path / "run.pth")["meta"] == {"epoch": 1, "iter": 2}


def test_safetensors_come_as_a_checkpoint(weights, tmp_path):
    save_weights(weights, tmp_path / "w.safetensors", classes=["cat", "dog"])
    read = load_from_local(str(tmp_path / "w.safetensors"), map_location="cpu")
    assert read["meta"] == {"format": "pt", "classes": ["cat", "dog"]}
    assert read["state_dict"]["conv.weight"].dtype == torch.float32


def _zipped(bomb, path):
    torch.save({"state_dict": {"w": bomb}}, path)


def _legacy(bomb, path):
    torch.save({"state_dict": {"w": bomb}}, path, _use_new_zipfile_serialization=False)


def _bare(bomb, path):
    path.write_bytes(pickle.dumps(bomb, protocol=2))


@pytest.mark.parametrize("write", [_zipped, _legacy, _bare])
def test_a_pickle_that_asks_for_code_runs_nothing(write, tmp_path):
    trace = tmp_path / "ran"
    for bomb in (Call(open, str(trace), "w"), Call(exec, f"open({str(trace)!r}, 'w')")):
        write(bomb, tmp_path / "bomb.pth")
        with pytest.raises(LabError, match=r"bomb\.pth asks to run .*nothing was run"):
            read_weights(tmp_path / "bomb.pth")
        with pytest.raises(LabError, match="nothing was run"):
            load_from_local(tmp_path / "bomb.pth")
    assert not trace.exists()
    # The bomb is live: reading it without care does create the file.
    pickle.loads(pickle.dumps(Call(open, str(trace), "w")))
    assert trace.exists()


def test_getattr_reaches_only_the_statistics_of_a_log_history(tmp_path):
    for target in (
        (HistoryBuffer, "register_statistics"),
        (HistoryBuffer, "__init__"),
        (torch.Tensor, "mean"),
    ):
        torch.save({"w": Call(getattr, *target)}, tmp_path / "bomb.pth")
        with pytest.raises(LabError, match=r"asks to run 'builtins\.getattr"):
            read_weights(tmp_path / "bomb.pth")


def test_an_object_array_cannot_smuggle_a_call(tmp_path):
    trace = tmp_path / "ran"
    array = np.array([Call(open, str(trace), "w")], dtype=object)
    torch.save({"w": array}, tmp_path / "bomb.pth")
    with pytest.raises(LabError):
        read_weights(tmp_path / "bomb.pth")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_missing_damaged_and_foreign_files_are_named(name, tmp_path):
    path = tmp_path / name
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    nowheres = (path, tmp_path, tmp_path / "pipe.pth", tmp_path / "loop.pth", "a" * 300, "nul\0")
    for nowhere in nowheres:
        with pytest.raises(LabError, match="there is no file"):
            read_weights(nowhere)
    tensors = {"w": torch.arange(5000.0)}
    torch.save(tensors, path) if name == "w.pth" else save_weights(tensors, path)
    content = path.read_bytes()
    cut = [content[:kept] for kept in (len(content) - 200, len(content) // 2, 30)]
    for wrong in (*cut, b"", b"not weights at all", b"\x80\x02garbage"):
        path.write_bytes(wrong)
        with pytest.raises(LabError, match=rf"{name} is damaged or n") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([1, 2], "holds one list, no checkpoint"),
        ({"state_dict": {}}, "holds no weights"),
        ({"epoch": 3}, "'epoch' is of type int, not a weight"),
        ({"state_dict": {5: 1}}, "5 is of type int, not a weight"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(content, complaint, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(LabError, match=complaint):
        read_weights(tmp_path / "w.pth")


ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        (torch.tensor([1.0, float("nan")]), "not finite"),
        (torch.tensor([float("-inf")], dtype=torch.bfloat16), "not finite"),
        (torch.ones(2, dtype=torch.complex64), "of type torch.complex64"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "of type torch.qint8"),
        (torch.eye(2).to_sparse(), "without values of its own"),
        (torch.ones(2, device="meta"), "without values of its own"),
        (ONE.expand(10**6, 10**6), "without values of its own"),
    ],
    ids=str,
)
@pytest.mark.parametrize("holder", ["state_dict", "model", None])
def test_what_cannot_be_a_weight_is_refused_by_its_key(weight, complaint, holder, tmp_path):
    weights = {"good": ONE, "neck.bad": weight}
    torch.save({holder: weights} if holder else weights, tmp_path / "w.pth")
    with pytest.raises(LabError, match=rf"w\.pth: 'neck\.bad' is {complaint}"):
        load_from_local(tmp_path / "w.pth", "cpu")


def test_nor_in_a_safetensors_file(tmp_path):
    save_file({"neck.bad": torch.tensor([float("nan")])}, tmp_path / "w.safetensors")
    with pytest.raises(LabError, match="'neck.bad' is not finite"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
@pytest.mark.parametrize("name", ["weight", "neck.bn.running_var"])
def test_a_quantised_layer_is_refused_by_its_key(name, dtype, tmp_path):
    torch.save({"good": ONE, name: torch.ones(2, dtype=dtype)}, tmp_path / "w.pth")
    with pytest.raises(LabError, match=rf"w\.pth: '{name}' is of integers \({dtype}\)"):
        load_from_local(tmp_path / "w.pth", "cpu")


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool]
)
def test_types_that_weights_and_buffers_have_are_read(dtype, tmp_path):
    torch.save({"w": torch.ones(2, dtype=dtype)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth")["w"].tolist() == [1, 1]


def test_a_small_file_that_unpacks_to_a_large_one_is_not_unpacked(tmp_path):
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in whole.infolist():
            bomb.writestr(member.filename, whole.read(member))
    with pytest.raises(LabError, match=r"damaged or not a checkpoint \(BadZipFile\)"):
        read_weights(tmp_path / "bomb.pth")


def header(entries):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}) + bytes(4),
        header({"w": 5}),
        header([1, 2]),
        (2**63).to_bytes(8, "little") + b"{}",
        b"\xff" * 8,
    ],
    ids=lambda content: str(content[8:60]),
)
def test_a_broken_safetensors_header_is_one_line(content, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(LabError, match=r"w\.safetensors") as told:
        read_weights(tmp_path / "w.safetensors")
    assert str(told.value).isprintable()
