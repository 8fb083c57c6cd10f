"""Refused before the start, in one line with the remedy."""

import socket

import pytest
from mmengine.config import Config

from crosskd_lab.errors import LabError
from crosskd_lab.runs import launch as checks


def test_gpus():
    checks.check_gpus(0, 0)
    checks.check_gpus(2, 2)
    with pytest.raises(LabError, match="8 GPUs were asked for and this machine has 2 GPUs.*gpus 2"):
        checks.check_gpus(8, 2)
    with pytest.raises(LabError, match="has 0 GPUs: say --gpus 0 --processes 2, on the CPU"):
        checks.check_gpus(1, 0)


def test_a_busy_port():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} is taken"):
            checks.check_port(port)
    checks.check_port(port)


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**9])
def test_a_port_that_does_not_exist(port):
    with pytest.raises(LabError, match=f"--port {port}: ports are 1 to 65535"):
        checks.check_port(port)


def test_a_free_port_is_one_that_nobody_listens_on():
    checks.check_port(port := checks.free_port())
    assert 20000 <= port < 30000


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        *(("90", 90), ("0", 1), ("90:30", 91), ("1:30:00", 90), ("1:30:01", 91), ("2-0", 2880)),
        *(("1-12", 2160), ("1-12:30", 2190), ("0-0:0:61", 2), (" 7 ", 7)),
    ],
)
def test_times_as_slurm_says_them(said, minutes):
    assert checks.minutes(said) == minutes


@pytest.mark.parametrize("said", ["", "soon", "1h", "1-", "-5", "1:2:3:4", "9" * 400, "1.5"])
def test_what_is_no_time_is_named(said):
    with pytest.raises(LabError, match="^--time .*: say minutes"):
        checks.minutes(said)


def test_space(tmp_path, monkeypatch):
    checks.check_space(tmp_path / "not" / "yet", 1000)
    few = type("Usage", (), {"free": 100 * 2**20})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: few)
    checks.check_space(tmp_path, 700_000)  # 4 x 12 x 0.7 M = 33.6 MB, and 67 MB to spare
    with pytest.raises(LabError, match=r"0.10 GB free .* about 0.11 GB .*choose another --out"):
        checks.check_space(tmp_path, 1_000_000)


def test_a_missing_data_set(tmp_path):
    dataset = dict(type="Repeat", dataset=dict(data_root=f"{tmp_path}/", ann_file="a/train.json"))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(LabError, match=r"there is no .*a/train\.json.*crosskd-lab data coco"):
        checks.check_data(cfg)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train.json").touch()
    checks.check_data(cfg)


def test_the_rate_follows_the_batch():
    cfg = Config(
        dict(
            train_dataloader=dict(batch_size=2),
            optim_wrapper=dict(optimizer=dict(lr=0.01)),
            auto_scale_lr=dict(base_batch_size=16),
        )
    )
    assert checks.scaled_rate(cfg, 8) == (16, pytest.approx(0.01))
    assert checks.scaled_rate(cfg, 4) == (8, pytest.approx(0.005))
    assert checks.scaled_rate(cfg, 1) == (2, 0.01)  # alone on the CPU, as the config says
    assert checks.scaled_rate(cfg, 1, gpus=1) == (2, pytest.approx(0.00125))
    cfg.pop("auto_scale_lr")
    assert checks.scaled_rate(cfg, 8, gpus=8) == (16, 0.01)  # no base batch, nothing to scale by
