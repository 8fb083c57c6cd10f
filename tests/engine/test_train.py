"""Runs: killed and resumed to the bit, stopped, blown up, recorded, re-trained, silent."""

import logging
import logging.config
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from crosskd_lab.configs import read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.evaluate import evaluate
from crosskd_lab.engine.hooks import last_checkpoint
from crosskd_lab.engine.record import read_metrics, read_record
from crosskd_lab.engine.train import (
    StepBar,
    build_runner,
    prepare_engine,
    train,
)
from crosskd_lab.errors import LabError
from crosskd_lab.files import sha256
from crosskd_lab.pair import build_detector
from crosskd_lab.stack.checkpoints import load_from_local, read_weights, save_weights

HERE = Path(__file__).resolve().parent
TRAINABLE = [dict(type="crosskd_lab.methods.CrossKD", i=3), dict(type="toy_methods.Adapted")]


def same(a, b):
    """Bit equality of nested dicts, lists and tensors."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children, and there is no fork")
def test_a_killed_run_ends_as_if_it_had_never_been(tiny, tmp_path, child):
    schedule = {"schedule.steps": 10, "schedule.validate_every": 4}
    config = tmp_path / "experiment.py"
    config.write_text(tiny({"methods": TRAINABLE, **schedule}).pretty_text)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    # before the first checkpoint (4), between two (4 and 8), between the second and its AP
    moments = [killed, "train:2", "train:6", "ap", "end"], [whole, "end"]
    ended = [child(HERE / "killed_run.py", config, *said, path=[HERE]) for said in moments]
    for one, signals in zip(ended, (["9", "9", "9", "0"], ["0"]), strict=True):
        code, said, errors = one.end()
        assert code == 0 and said.split() == signals, errors

    ours, theirs = (load_from_local(folder / "iter_10.pth") for folder in (killed, whole))
    for part in ("state_dict", "optimizer", "param_schedulers", "distillation"):
        assert same(ours[part], theirs[part]), part
    rows, expected = (
        read_metrics(folder).drop(columns="seconds_per_step") for folder in (killed, whole)
    )
    steps = [(row.kind, row.step) for row in rows.itertuples()]
    validations = {4: 4, 8: 8, 10: 10}
    assert steps == [
        (kind, step)
        for step in range(1, 11)
        for kind in (["train", "val"] if step in validations else ["train"])
    ]
    assert rows.equals(expected)
    record = read_record(killed)
    assert (record["status"], len(record["resumed"])) == ("done", 3)
    assert record["results"] == read_record(whole)["results"]

    # the method's own part has trained and travels beside the student, which stays stock
    scale = ours["distillation"]["methods"]["methods.1.scale"]
    assert not torch.equal(scale, torch.ones_like(scale))
    prepare_engine()
    stock = build_detector(read_config("pocket/gfl_r18_w16").model)
    assert ours["state_dict"].keys() == stock.state_dict().keys()
    stock.load_state_dict(ours["state_dict"], strict=True)


def test_a_stopped_run_says_so_and_goes_on(tiny, tmp_path, as_at_a_terminal):
    run, before = tmp_path / "run", signal.getsignal(signal.SIGTERM)
    stops = (signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)
    for number, raised in (*stops, (signal.SIGHUP, SystemExit)):
        stop = lambda row, number=number: row["step"] == 3 and os.kill(os.getpid(), number)  # noqa: E731
        with pytest.raises(raised):
            train(tiny(), run, resume=run.exists(), listeners=[stop])
        assert read_record(run)["status"] == "stopped"
        assert signal.getsignal(signal.SIGTERM) is before
        assert last_checkpoint(run) == run / "iter_2.pth"
    heard = []
    results = train(tiny(), run, resume=True, listeners=[heard.append])
    assert [row["step"] for row in heard] == [3, 4, 4]  # from the checkpoint on, not from the start
    record = read_record(run)
    assert (record["status"], record["results"]) == ("done", results)
    assert {"AP", "AP50", "l1_teacher", "l1_truth"} <= results.keys()
    # once more when all is done: the results stay
    assert train(tiny(), run, resume=True) == results


def test_a_run_of_epochs_knows_its_steps(tiny, tmp_path):
    """24 images by 8 are three steps an epoch."""
    cfg = tiny({"schedule.batch": 8})
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    loop = dict(type="EpochBasedTrainLoop", max_epochs=3, val_interval=3)
    cfg.train_cfg = dict(loop, dynamic_intervals=[(3, 1)])  # so it validates after epochs 2 and 3
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1, save_best="AP", rule="greater")
    whole = tmp_path / "run"
    results = train(cfg, whole)
    assert read_record(whole)["extra"]["steps"] == 9
    rows = read_metrics(whole)
    assert rows.loc[rows["kind"] == "val", "step"].tolist() == [6, 9]
    for epochs in (2, 3):  # as kills in the validations
        cut = Path(shutil.copytree(whole, tmp_path / f"cut {epochs}"))
        for left in range(epochs + 1, 4):
            (cut / f"epoch_{left}.pth").unlink()
        lines = (cut / "metrics.jsonl").read_text().splitlines(keepends=True)
        (at,) = [k for k, row in enumerate(rows.itertuples()) if row[1:3] == (3 * epochs, "val")]
        (cut / "metrics.jsonl").write_text("".join(lines[:at]))
        again, made = train(cfg, cut, resume=True), read_metrics(cut)
        assert made[["step", "kind"]].equals(rows[["step", "kind"]])
        assert epochs < 3 or again == results  # an epoch's order is not that of the first try


@pytest.mark.parametrize(("value", "at"), [("nan", 1), ("inf", 3)])
def test_a_loss_that_is_not_finite_stops_the_run_and_the_remedy_works(tiny, tmp_path, value, at):
    exploding = [dict(type="toy_methods.Exploding", at=at, value=value)]
    with pytest.raises(LabError, match=f"^step {at}: loss_exploding is {value}; ") as error:
        train(tiny({"methods": exploding}), tmp_path / "run")
    assert read_record(tmp_path / "run")["status"] == "failed"
    assert read_record(tmp_path / "run")["reason"] == str(error.value)
    if at == 1:
        assert "before its first checkpoint" in str(error.value)
        assert last_checkpoint(tmp_path / "run") is None
        with pytest.raises(LabError, match="which has saved nothing: .* remove the folder, or"):
            train(tiny(), tmp_path / "run")
        return
    kept = tmp_path / "run" / "iter_2.pth"
    assert f"--set load_from={kept} " in str(error.value)
    weights = read_weights(kept)
    assert all(weight.isfinite().all() for weight in weights.values())
    # a rate of 0 leaves the weights as they were loaded
    remedy = {"load_from": str(kept), "schedule.lr": 0.0, "schedule.steps": 1}
    train(tiny(remedy), tmp_path / "lower")
    trained = read_weights(tmp_path / "lower" / "iter_1.pth")
    learnt = [name for name in weights if "running" not in name and "tracked" not in name]
    assert all(torch.equal(weights[name], trained[name]) for name in learnt)


def test_load_from_refuses_another_detector(tiny, tmp_path):
    save_weights({"backbone.conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(LabError, match="load_from has no weights for .*another config"):
        train(tiny({"load_from": str(tmp_path / "other.safetensors")}), tmp_path / "run")


def test_a_run_learns_from_one_teacher_only(tiny, tmp_path):
    prepare_engine()
    teacher = build_detector(read_config("pocket/gfl_r18_w32").model)
    weights = teacher.state_dict() | {"bbox_head.gfl_cls.bias": torch.zeros(10)}  # scores of 0.5
    file = tmp_path / "teacher.safetensors"
    settings = {"teacher.checkpoint": str(file), "schedule.steps": 2}
    save_weights(weights, file)
    train(tiny(settings), tmp_path / "run")
    save_weights(weights | {"bbox_head.gfl_cls.bias": torch.ones(10)}, file)
    with pytest.raises(LabError, match=r"teacher \(sha256\) was"):
        train(tiny(settings), tmp_path / "run", resume=True)
    assert read_record(tmp_path / "run")["status"] == "done"


def test_a_run_teaches_by_its_folder_and_a_young_one_if_meant(tiny, tmp_path, finished):
    run, _ = finished
    teacher = {"teacher.checkpoint": str(run), "schedule.steps": 2}
    with pytest.raises(LabError, match="say --set teacher.young=True"):
        train(tiny(teacher), tmp_path / "refused")
    train(tiny({**teacher, "teacher.young": True}), tmp_path / "taught")
    of_teacher = read_record(tmp_path / "taught")["teacher"]
    assert of_teacher["sha256"] == sha256(run / "iter_4.pth")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.py").write_text((run / "config.py").read_text())
    with pytest.raises(LabError, match="empty holds no checkpoint"):
        tiny({"teacher.checkpoint": str(tmp_path / "empty")})


def test_the_recorded_config_trains_the_same_again_anywhere(tiny, tmp_path, finished):
    first, results = finished
    assert train(load_experiment(first), tmp_path / "second") == results
    folders = [first, tmp_path / "second"]
    finals = [load_from_local(folder / "iter_4.pth")["state_dict"] for folder in folders]
    assert same(*finals)
    texts = [(folder / "config.py").read_text() for folder in folders]
    assert texts[0] == texts[1]
    records = [read_record(folder) for folder in folders]
    for record in records:
        for of_its_moment in ("created", "finished", "git"):
            record.pop(of_its_moment)
    assert records[0] == records[1]
    assert not any(str(first.parent) in str(value) for value in records[0].values())


def test_a_run_still_resumes_when_it_and_its_data_have_moved(tiny, scenes_dir, tmp_path):
    def interrupt(row: dict[str, Any]) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt

    data = Path(shutil.copytree(scenes_dir, tmp_path / "scenes"))
    with pytest.raises(KeyboardInterrupt):
        train(tiny.func(data), tmp_path / "run", listeners=[interrupt])
    data = data.rename(tmp_path / "scenes elsewhere")
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    results = train(tiny.func(data), moved, resume=True)
    assert read_record(moved)["data"]["path"] == str(data)
    assert evaluate(moved / "config.py", last_checkpoint(moved))["AP"] == results["AP"]
    assert read_metrics(tmp_path / "moved")["step"].tolist() == [1, 2, 2, 3, 4, 4]
    assert not (tmp_path / "run").exists()


def test_a_folder_holds_one_run(tiny, tmp_path, finished):
    run, _ = finished
    with pytest.raises(LabError, match="holds no run to resume"):
        train(tiny(), tmp_path / "run", resume=True)
    with pytest.raises(LabError, match="holds a run already"):
        train(tiny(), run)
    with pytest.raises(LabError, match=r"schedule\.lr was 0\.\d+, now 0\.001"):
        train(tiny({"schedule.lr": 0.001}), run, resume=True)


def test_what_cannot_be_built_leaves_nothing_behind(tiny, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    for name in ("new", "mine"):
        with pytest.raises(LabError, match="i = 9"):
            train(tiny({"methods": [dict(type="CrossKD", i=9)]}), tmp_path / name)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "mine",
        "mine/note.txt",
    ]


def test_an_engine_without_its_parts_is_named(tiny, tmp_path):
    with pytest.raises(LabError, match=r"precision = \[1\]: choose one of fp32, bf16"):
        train(tiny({"precision": [1]}), tmp_path / "run")
    cfg = tiny({})
    cfg.default_hooks.checkpoint = None  # as a config on mmdet's own schedule may say
    with pytest.raises(LabError, match="default_hooks.checkpoint is missing"):
        train(cfg, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_student_alone_has_no_fast_step(scenes_dir, tmp_path):
    cfg = load_experiment("pocket/gfl_r18_w16", {"data.size": 64, "fast": True}, scenes_dir)
    with pytest.raises(LabError, match="fast=True is for a student with a teacher"):
        train(cfg, tmp_path / "run")


def test_runs_called_alike_that_begin_in_one_second_have_logs_of_their_own(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    runners = [build_runner(tiny(), tmp_path / place / "run") for place in ("a", "b")]
    logs = [list((tmp_path / place).glob("run/*/*.log")) for place in ("a", "b")]
    assert [len(found) for found in logs] == [1, 1]
    assert runners[0].message_hub is not runners[1].message_hub


def test_training_says_nothing_of_its_own(tiny, tmp_path, capfd):
    train(tiny({"schedule.steps": 2}), tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    files = {path.name for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert files == {"config.py", "record.json", "metrics.jsonl", "iter_2.pth", "last_checkpoint"}
    assert list((tmp_path / "run").glob("*/*.log"))
    assert Config.fromfile(tmp_path / "run" / "config.py").randomness.seed == 3
    # its log is closed: Jupyter's applications close what is open, and mmengine would write on
    handlers = MMLogger.get_current_instance().handlers
    assert not [handler for handler in handlers if isinstance(handler, logging.FileHandler)]
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    build_detector(read_config("pocket/gfl_r18_w16").model).init_weights()


def test_a_run_says_its_form_and_precision(tiny, tmp_path):
    one = {"schedule.steps": 1}
    asked = {
        "usual": {},
        "fast": {"fast": True},
        "half": {"precision": "bf16"},
        "reference": {"fast": False},
    }
    for name, settings in asked.items():
        train(tiny({**one, **settings}), tmp_path / name)
    said = {name: read_record(tmp_path / name)["extra"] for name in asked}
    assert {extra["student"] for extra in said.values()} == {"GFL"}
    assert {name: (extra["fast"], extra["precision"]) for name, extra in said.items()} == {
        "usual": (torch.cuda.is_available(), "fp32"),
        "fast": (True, "fp32"),
        "half": (True, "bf16"),
        "reference": (False, "fp32"),
    }
    first = {
        name: read_metrics(tmp_path / name).query("kind == 'train'").iloc[0]["loss"]
        for name in asked
    }
    assert first["fast"] == pytest.approx(first["reference"], rel=1e-5)
    assert first["half"] == pytest.approx(first["reference"], rel=0.02)
    assert first["half"] != first["fast"]
    with pytest.raises(LabError, match="precision=bf16 is for .* fast=False"):
        train(tiny({**one, "fast": False, "precision": "bf16"}), tmp_path / "none")


def test_the_bar_shows_step_time_left_loss_and_ap(capsys):
    """Steps of an earlier sitting are not this one's speed."""
    bar = StepBar(200, "student", begun=100)
    bar.bar.start_t -= 10  # as if it had run for ten seconds
    bar({"step": 150, "kind": "train", "loss": 1.234})
    bar({"step": 150, "kind": "val", "AP": 12.34})
    bar.bar.refresh()
    bar.close()
    shown = capsys.readouterr().err
    assert "student" in shown and "loss=1.23" in shown and "AP=12.3" in shown
    assert re.search(r"150/200 \[00:1\d<00:(09|1\d),", shown)  # 50 steps at 5 a second
