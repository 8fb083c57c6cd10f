"""The set-up as a newcomer meets it: pins that agree with each other and make targets that work."""

import ast
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ["3.10", "3.11", "3.12"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(python):
    """Package to version, as requirements.lock has them for one Python."""
    found = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker and not pin.marker.evaluate({"python_version": python}):
            continue
        (specifier,) = pin.specifier
        assert specifier.operator == "==", f"{line} is no exact pin"
        name = canonicalize_name(pin.name)
        assert name not in found, f"{name} is pinned twice for Python {python}"
        found[name] = specifier.version
    return found


def direct(extra="dev"):
    """What pyproject.toml asks for by name: the core and all that an extra takes in."""
    extras = PROJECT["optional-dependencies"]
    asked, waiting = list(map(Requirement, PROJECT["dependencies"])), [extra] if extra else []
    while waiting:
        for requirement in map(Requirement, extras[waiting.pop()]):
            if requirement.name == PROJECT["name"]:
                waiting += requirement.extras
            else:
                asked.append(requirement)
    return asked


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_lies_within_the_ranges(python):
    locked = pins(python)
    outside = [
        f"{requirement} but {locked.get(canonicalize_name(requirement.name))}"
        for requirement in direct()
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]
    assert not outside


def test_what_the_package_imports_is_asked_for():
    imported = set()
    for module in (ROOT / "crosskd_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    provided = {
        file.parts[0].removesuffix(".py")
        for requirement in direct()
        for file in metadata.files(requirement.name) or []
    }
    unasked = sorted(imported - provided - {*sys.stdlib_module_names, "crosskd_lab"})
    assert not unasked, f"add what provides {unasked} to pyproject.toml and environment.yml"


def test_conda_environment_repeats_the_lock():
    conda, _pip, section = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    python = conda.removeprefix("python=")
    listed = [line for line in section["pip"] if line != "--editable ."]
    locked = pins(python)
    names = {canonicalize_name(requirement.name) for requirement in direct()}
    given = {canonicalize_name(name): version for name, version in (s.split("==") for s in listed)}
    assert python in PYTHONS
    assert given == {name: locked[name] for name in names}


def reached(requirements):
    """Installed package to version for ``requirements`` and all that these need in turn.

    What torch needs for CUDA is left out: torch pins it itself. So is the local part of a
    version: the CPU build of torch calls itself 2.13.0+cpu.
    """
    found = {}
    waiting, seen = list(requirements), set()
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        if name.startswith(("nvidia-", "cuda-", "triton")) or str(asked) in seen:
            continue
        seen.add(str(asked))
        found[name] = metadata.version(name).split("+")[0]
        extras = asked.extras or {""}
        for needed in map(Requirement, metadata.requires(name) or []):
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return found


def test_the_lock_is_what_the_lab_needs_and_nothing_else():
    if not (ROOT / ".venv/.ready").exists() or Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("this Python is not the environment that make sets up")
    assert reached(direct()) == pins(f"{sys.version_info[0]}.{sys.version_info[1]}")


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""
STEP = """
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

cfg = Config.fromfile('their_own.py')
tiny = dict(
    backbone=dict(depth=18, base_channels=4, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[4, 8, 16, 32], out_channels=8),
    bbox_head=dict(
        num_classes=3, in_channels=8, feat_channels=8, norm_cfg=dict(type='GN', num_groups=2)
    ),
)
cfg.merge_from_dict(dict(model=dict(student=tiny, teacher=dict(config=tiny))))
torch.manual_seed(0)
model = MODELS.build(cfg.model)
size = (64, 64)
sample = DetDataSample(metainfo=dict(img_shape=size, pad_shape=size, batch_input_shape=size))
boxes, labels = torch.tensor([[8.0, 8.0, 40.0, 48.0]]), torch.tensor([1])
sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
losses = model.loss(torch.randn(1, 3, *size), [sample])
total, log = model.parse_losses(losses)
total.backward()
print([name for name, value in log.items() if 0 < float(value) < float('inf')])
"""


def blocked():
    """Code that hides all that the extras bring and the core does not, as if not installed."""
    core = reached(direct(""))
    extra = reached(direct()).keys() - core.keys()
    names = set()
    for wheel in metadata.distributions():  # packages_distributions passes over some in 3.10
        if canonicalize_name(wheel.metadata["Name"]) in extra:
            files = [file for file in wheel.files or () if file.suffix in (".py", ".so")]
            names |= {file.parts[0].partition(".")[0] for file in files} - {"", "__pycache__"}
    assert {"pandas", "seaborn", "typer", "IPython", "ipywidgets", "papermill"} <= names
    return BLOCKED.format(names=names)


def alone(code, folder):
    """Run code in an interpreter of its own that has only what the core asks for."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", blocked() + code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_without_extras_the_door_distils_in_somebody_elses_config(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(_base_ = .*?)```", text, re.DOTALL)
    named = 'config="mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py", checkpoint="gfl_r101.pth"'
    assert named in code  # 200 MB that a test has not
    code = code.replace(named, "config={{_base_.model}}, checkpoint='random'")
    (tmp_path / "their_own.py").write_text(code)
    done = alone(STEP, tmp_path)
    assert done.returncode == 0, done.stderr
    named = ast.literal_eval(done.stdout.splitlines()[-1])
    assert {"loss_cls", "loss_crosskd_cls", "loss_crosskd_reg", "loss_pkd_neck"} <= set(named)


def test_the_readmes_few_lines_of_python_run(make_pair, make_batch, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from mmengine.hub .*?)```", text, re.DOTALL)
    asked = []
    monkeypatch.setattr("crosskd_lab.pair.build_pair", lambda *given: asked.append(given) or tiny)
    tiny, (images, samples) = make_pair(), make_batch()
    names = {"images": images, "data_samples": samples}
    exec(code, names)
    ((student, teacher),) = asked
    assert student.backbone.depth == 50 and teacher["config"].backbone.depth == 101
    losses = {"loss_cls", "loss_bbox", "loss_dfl", "loss_crosskd_cls", "loss_crosskd_reg"}
    assert set(names["losses"]) == losses | {"loss_pkd_neck"}


def test_without_extras_the_command_line_names_the_one_it_needs(tmp_path):
    done = alone("from crosskd_lab.cli import main\nmain(['doctor'])", tmp_path)
    said = "crosskd-lab: the command line is the lab's: pip install 'crosskd-lab[lab]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def workshop(folder, **programs):
    """Copy what make needs into ``folder``; an environment whose PATH has ``programs`` first."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    tools = folder / "tools"
    tools.mkdir()
    for name, script in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(stat.S_IRWXU)
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return {**outside, "PATH": f"{tools}:/usr/bin:/bin"}  # as if no make ran these tests


def make(folder, env, *args):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    return subprocess.run(["make", *args], cwd=folder, env=env, capture_output=True, text=True)


def test_make_alone_lists_the_targets(tmp_path):
    done = make(tmp_path, workshop(tmp_path))
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert listed == [
        "help",
        "demo",
        "book",
        "site",
        "check",
        "test",
        "faults",
        "lab",
        "reset",
        "clean",
    ]


def test_set_up_is_not_repeated_until_the_pins_change(tmp_path):
    env = workshop(tmp_path)
    ready = tmp_path / ".venv/.ready"
    ready.parent.mkdir()
    ready.touch()
    assert "up to date" in make(tmp_path, env, ".venv/.ready").stdout
    later = ready.stat().st_mtime + 10
    os.utime(tmp_path / "requirements.lock", (later, later))
    assert "scripts/set_up.py" in make(tmp_path, env, "--dry-run", ".venv/.ready").stdout


def test_bytecode_is_kept_where_the_environment_forbids_it(tmp_path):
    env = {**workshop(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    told = make(tmp_path, env, "--silent", "--eval", "told: ; @env", "told").stdout
    assert "GOMP_SPINCOUNT=10000\n" in told and "PYTHONDONTWRITEBYTECODE" not in told


def test_a_python_that_does_not_run_is_passed_over(tmp_path):
    works = f'exec "{sys.executable}" "$@"'
    programs = {"python3.11": "exit 127", "python3.12": works, "python3.10": "exit 127"}
    env = workshop(tmp_path, **programs)
    told = make(tmp_path, env, "--dry-run", ".venv/.ready", "WHEELS=my/wheels").stdout
    assert "python3.12 scripts/set_up.py my/wheels\n" in told


def test_no_fitting_python_is_one_clear_line(tmp_path):
    names = ("python3.11", "python3.12", "python3.10", "python3")
    done = make(tmp_path, workshop(tmp_path, **dict.fromkeys(names, "exit 1")), ".venv/.ready")
    told, summary = done.stderr.splitlines()
    assert done.returncode != 0
    assert "Python 3.10, 3.11 or 3.12" in told and "make PYTHON=" in told
    assert summary.startswith("make: ***")
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def set_up():
    """The script that makes the environment, for the one that runs these tests."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "scripts" / "set_up.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.BIN = Path(sys.executable).parent
    return script


def test_uv_is_told_what_pip_is(set_up, monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\ncert = /from/file\nextra-index-url = https://a.example/simple\n"
        "    https://b.example/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/from/environment")
    monkeypatch.setenv("PIP_FIND_LINKS", "/some/wheels")
    told = set_up.uv_environment()
    assert told["UV_INDEX"].split() == ["https://a.example/simple", "https://b.example/simple"]
    assert told["SSL_CERT_FILE"] == "/from/environment", "the environment is stronger"
    assert told["UV_FIND_LINKS"] == "/some/wheels"


def test_pip_sets_up_where_uv_cannot_be_had(set_up, monkeypatch, capsys):
    done = []
    monkeypatch.setattr(set_up, "works", lambda command, **env: command[-1] != set_up.UV)
    monkeypatch.setattr(set_up, "cpu_torch", list)
    monkeypatch.setattr(set_up.subprocess, "run", lambda command, **_: done.append(command))
    monkeypatch.setattr(sys, "argv", ["set_up.py", "my/wheels"])
    set_up.main()
    packages, own = done
    assert packages[1:4] == ["-m", "pip", "install"] and "requirements.lock" in packages
    assert packages[-3:] == ["--no-index", "--find-links", "my/wheels"], "no network is asked for"
    assert own[-2:] == ["--editable", "."]
    assert "uv cannot be had here" in capsys.readouterr().out


def test_ci_hands_real_data_to_make_test(tmp_path):
    copy, data = tmp_path / "copy", tmp_path / "shared/data"
    (copy / ".ci").mkdir(parents=True)
    data.mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", copy / ".ci")
    programs = {"make": 'echo "make $1 with $CROSSKD_REAL_DATA"', "chromium": "exit 0"}
    env = workshop(copy, **programs)
    env.pop("CROSSKD_REAL_DATA", None)
    done = subprocess.run(["bash", copy / ".ci/run"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"make test with {data}"]
