"""What a launch decides, and what it refuses before anything has started."""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from crosskd_lab.cli import _app
from crosskd_lab.configs import config_text, find_config, read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.record import finish_record
from crosskd_lab.errors import LabError
from crosskd_lab.files import LAUNCH, PROJECT, sole_writer
from crosskd_lab.runs import launch as checks
from crosskd_lab.runs import processes as process
from crosskd_lab.runs.launch import AGAIN, RowRun, launch, prepare
from crosskd_lab.runs.processes import PLAN, WORKER, LaunchPlan


def test_a_setting_that_a_method_does_not_have_is_refused_before_anything_starts(small):
    words = small(6)
    words["settings"] = {**words["settings"], "methods.0.layer": 0}
    with pytest.raises(LabError, match="option of CrossKD = 'layer' is unknown: .*align"):
        launch(**words)


def test_a_dry_run_says_what_it_would_do(small, capsys, tmp_path):
    assert launch(**small(6), processes=2, dry_run=True) is None
    said = capsys.readouterr().out
    assert "2 x 2 = 4 images a step" in said
    assert "rate      0.04, scaled from 0.02 with the batch" in said
    assert "torch.distributed.run --standalone --nnodes=1 --nproc-per-node=2" in said
    assert launch(**small(6), gpus=8, dry_run=True) is None  # for a machine that has them
    assert "--nnodes=1 --nproc-per-node=8" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_what_cannot_start_is_refused_first(small, tmp_path, monkeypatch):
    with pytest.raises(LabError, match="64 GPUs were asked for"):
        launch(**small(6), gpus=64)
    with pytest.raises(LabError, match="one process a GPU"):
        launch(**small(6), gpus=2, processes=3)
    with pytest.raises(LabError, match="at least 1"):
        launch(**small(6), processes=0)
    with pytest.raises(LabError, match="there is no teacher 'nobody'"):
        words = small(6)
        words["settings"]["teacher.checkpoint"] = "nobody"
        launch(**words)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match='"srun".*this machine reaches no SLURM'):
        launch(**small(6), slurm="gpu")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_refused(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("{}")
    with pytest.raises(LabError, match="holds a run already: 'crosskd-lab runs --resume"):
        launch(**small(6))


def test_the_plan_knows_the_length_of_the_run(small):
    plan, _ = prepare(**small(6))
    assert (plan.steps, plan.processes, plan.gpus) == (6, 1, 0)


def test_processes_share_the_cores_or_have_the_threads_that_were_said(small, monkeypatch):
    monkeypatch.setattr(checks, "usable_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [prepare(**small(6), processes=n)[0].threads for n in (None, 2, 8)] == [6, 3, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setattr("torch.get_num_threads", lambda: 5)
    assert prepare(**small(6), processes=2)[0].threads == 5


def test_several_machines_are_started_by_hand(small, begin, capsys, tmp_path):
    """Every machine reads the plan from the shared folder; here nothing starts."""
    run = launch(**small(6, out=tmp_path / "my run"), processes=2, nodes=3)
    said = capsys.readouterr().out
    assert "6 x 2 = 12 images a step" in said
    assert "by hand, on each of the 3 machines" in said and "HEAD_NODE=<name of the first>" in said
    plan = LaunchPlan.read(run.folder)
    assert 20000 <= plan.port < 30000
    meet = f"--rdzv-endpoint=$HEAD_NODE:{plan.port} --rdzv-id={plan.meeting}"
    assert f"{meet} --nnodes=3 --nproc-per-node=2" in said
    assert f"-m {WORKER} '{run.folder}'\n" in said, "as a shell takes a name with a blank"
    assert run.status == "waiting" and run.wait() == "waiting"
    assert [path.name for path in (tmp_path / "my run").iterdir()] == [PLAN]
    with pytest.raises(LabError, match="is waiting"):
        run.resume()
    begin(run.folder)
    assert run.status == "running", "what its record says; nobody here can know better"
    with pytest.raises(LabError, match=r"stopped from here: end it on each of its 3 machines"):
        run.stop()
    with pytest.raises(LabError, match=r"is running, as far .*end it on each.*HEAD_NODE"):
        run.resume()
    finish_record(run.folder, "stopped", reason="interrupted")
    with pytest.raises(LabError, match=r"by hand on 3 machines: say again on each .*HEAD_NODE"):
        run.resume()


def test_machines_by_hand_need_no_gpu_where_they_are_planned(small, capsys):
    """And no two jobs meet each other's processes."""
    words = small(6)
    first, second = (prepare(**words, gpus=8, nodes=2)[0] for _ in range(2))
    assert first.meeting != second.meeting and 20000 <= first.port < 30000
    assert launch(**words, gpus=8, nodes=2, dry_run=True) is None
    assert "--nproc-per-node=8" in capsys.readouterr().out


def test_weights_that_cannot_be_had_are_named_before_the_start(
    small, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    address = "http://127.0.0.1:9/resnet.pth"  # where nobody listens
    words = small(6)
    words["settings"]["load_from"] = address
    assert launch(**words, dry_run=True) is None
    assert f"weights   {address}, fetched before the start" in capsys.readouterr().out
    with pytest.raises(LabError, match=f"begins with {address}.*put the file at {tmp_path}/hub/"):
        launch(**words)
    assert not (tmp_path / "run").exists()


def test_a_recipe_names_the_weights_of_its_backbone():
    cfg = read_config("paper/parts/gfl_r18")
    assert checks.addresses(cfg) == ["torchvision://resnet18"]
    assert checks.addresses(read_config("pocket/gfl_r18_w16")) == []


def test_a_folder_that_someone_writes_into_is_refused(small, tmp_path):
    with (
        sole_writer(tmp_path / "run"),
        pytest.raises(LabError, match=r"run is being written by process \d+ on .*choose another"),
    ):
        launch(**small(6))


def test_a_dry_run_for_a_cluster_says_what_would_be_submitted(small, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch(**small(6), gpus=8, nodes=2, slurm="fast", dry_run=True) is None
    said = capsys.readouterr().out
    assert "16 x 2 = 32 images a step" in said
    assert "to partition fast, by submitit" in said and "2 x 8 tasks, 8 GPUs a machine" in said
    assert "torch.distributed.run" not in said, "SLURM starts the tasks itself"
    assert "this machine reaches no SLURM" in said
    assert not (tmp_path / "run").exists()


def test_gpus_that_are_not_there():
    checks.check_gpus(0, 0)
    checks.check_gpus(2, 2)
    with pytest.raises(LabError, match="8 GPUs were asked for and this machine has 2 GPUs.*gpus 2"):
        checks.check_gpus(8, 2)
    with pytest.raises(LabError, match="has 0 GPUs: say --gpus 0 --processes 2, on the CPU"):
        checks.check_gpus(1, 0)


def test_a_busy_port(small):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} is taken: leave --port out"):
            launch(**small(6), processes=2, port=port)
    checks.check_port(port)


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


def test_the_command_is_one_that_the_cli_understands():
    import typer

    run = RowRun("table1", "crosskd_3")
    assert run.command == (
        "crosskd-lab sweep table1 --only crosskd_3 --seeds 0 "
        "--recorded runs/again --runs runs/again"
    )
    words = run.command.split()[1:]
    group = typer.main.get_command(_app(words))
    with group.make_context("crosskd-lab", list(words)) as context:
        name, verb, rest = group.resolve_command(context, list(words))
        given = verb.make_context(name, rest, parent=context).params
    assert (given["file"], given["only"], given["seeds"]) == ("table1", ["crosskd_3"], "0")
    assert str(given["recorded"]) == str(given["runs"]) == "runs/again"
    # What is started says the same with the whole path, wherever the notebook lies.
    assert run.plan.command("python")[3:-3] == words[:-3]
    assert run.plan.verb[-1] == str(AGAIN) and run.steps == 240


@pytest.mark.parametrize(("gpus", "seen"), [(0, ""), (1, "0,1")])
def test_the_cpu_is_the_cpu_also_where_there_are_gpus(monkeypatch, tmp_path, gpus, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    code = "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    monkeypatch.setattr(LaunchPlan, "command", lambda self, python: [sys.executable, "-c", code])
    plan = LaunchPlan("pocket/none", str(tmp_path), gpus=gpus)
    plan.write()
    with sole_writer(tmp_path, LAUNCH) as lock:
        process.start(plan, lock)
    run = process.Run(tmp_path)
    run.wait(30)
    assert run.tail() == repr(seen)


@pytest.mark.parametrize("code", ["print('made again')", "import time; time.sleep(60)"])
def test_it_runs_apart_once_at_a_time_and_leaves_its_log(monkeypatch, tmp_path, code):
    monkeypatch.setattr(LaunchPlan, "command", lambda self, python: [sys.executable, "-c", code])
    run = RowRun("smoke", "kd", place=tmp_path).start()
    assert run.folder == tmp_path / "smoke" / "kd-s0"
    if "sleep" in code:
        with pytest.raises(LabError, match="is starting"):
            RowRun("smoke", "kd", place=tmp_path).start()
        process.end(process.find(run.folder))
    else:
        run.wait(30)
        assert run.tail() == "made again"
    assert run.status == "failed", "it ended without having trained"


def test_what_is_not_declared_is_refused(tmp_path):
    with pytest.raises(LabError, match="no row 'nothing'"):
        RowRun("smoke", "nothing", place=tmp_path)


def test_a_run_is_resumed_from_any_folder_with_what_lies_outside_and_in_the_project(
    small, tmp_path, monkeypatch
):
    """Outside by whole paths; inside by the project's, which may be moved."""
    inside = PROJECT / "configs" / "pocket" / "none.py"
    (tmp_path / "mine.py").write_text(f"_base_ = {str(inside)!r}\n")
    monkeypatch.chdir(tmp_path)
    words = {**small(4), "data": os.path.relpath(small(4)["data"])}
    plan, _ = prepare(**{**words, "config": "mine.py", "out": tmp_path / "a"})
    assert plan.config == str(tmp_path / "mine.py") and plan.data == str(small(4)["data"])
    plan, _ = prepare(**{**words, "config": os.path.relpath(inside), "out": tmp_path / "b"})
    assert plan.config == "configs/pocket/none.py"
    assert find_config(plan.config) == str(inside), "from a folder that is not the project's"
    decoy = tmp_path / plan.config  # as in a second checkout
    decoy.parent.mkdir(parents=True)
    decoy.write_text("methods = 'of another'")
    where = {"data": "data/teachers", "settings": {"teacher.config": "data/teachers/gfl_r18_w32"}}
    (tmp_path / "data" / "teachers").mkdir(parents=True)
    shipped = PROJECT / "data" / "teachers"
    config, settings, data, _ = replace(plan, **where).said()
    assert (config, data) == (str(inside), str(shipped))
    assert settings == {"teacher.config": str(shipped / "gfl_r18_w32")}


def test_places_in_settings_and_a_run_as_config_are_kept_whole(small, tmp_path, monkeypatch):
    """And a run's own seed is its launch's."""
    cfg = load_experiment(
        "pocket/none", {"schedule.steps": 4, "data.size": 64}, seed=5, data=small(4)["data"]
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.py").write_text(config_text(cfg))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "w.pth").touch()
    (tmp_path / "pocket" / "none").mkdir(parents=True)  # no config, whatever its name
    afar = {"load_from": "https://there.org/w.pth"}
    plan, _ = prepare("pocket/none", settings=afar, data=small(4)["data"])
    assert plan.said()[:2] == ("pocket/none", afar)
    plan, _ = prepare("mine", settings={"load_from": "mine/w.pth"}, restarts=0)
    assert plan.config == str(tmp_path / "mine") and plan.seed == 5
    assert plan.settings == {"load_from": str(tmp_path / "mine" / "w.pth")}
    assert Path(plan.folder) == Path("runs/mine-s5")
