"""From a name and a few settings to a completed config, and back from the run's own."""

import json

import pytest

from crosskd_lab.configs import CONFIGS, config_text
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.errors import LabError
from crosskd_lab.pair import build_pair

EXPERIMENT = """custom_imports = dict(imports=['my_method'])
student = 'student.py'
teacher = dict(config='teacher.py', checkpoint='random')
methods = []
"""
RANDOM = {"teacher.checkpoint": "random"}


@pytest.fixture(scope="module")
def completed(scenes_dir):
    return load_experiment(
        "pocket/crosskd", {**RANDOM, "schedule.steps": 12, "methods.0.i": 2}, scenes_dir, seed=4
    )


def test_an_unknown_config_names_the_nearest():
    with pytest.raises(
        LabError, match="no config 'pocket/crossd'; the nearest of .* pocket/crossk"
    ):
        load_experiment("pocket/crossd")


def test_settings_and_seed_are_in_the_config(completed):
    assert completed.train_cfg.max_iters == 12
    assert completed.model.type == "Distiller" and completed.model.tap == "post_relu"
    (method,) = completed.model.methods
    assert method.i == 2 and method.type == "crosskd_lab.methods.CrossKD"
    assert completed.randomness.seed == 4
    assert completed.train_dataloader.dataset.seed == 4


def test_classes_come_from_the_annotation_file(completed, scenes_dir):
    (file,) = scenes_dir.rglob("*train*.json")
    categories = json.loads(file.read_text(encoding="utf-8"))["categories"]
    names = [c["name"] for c in categories]
    assert list(completed.data.classes) == names
    for model in (completed.model.student, completed.model.teacher.config):
        assert model.bbox_head.num_classes == len(names)


def test_a_run_keeps_its_seed_also_on_mmdets_own_schedule(scenes_dir, tmp_path):
    stock = load_experiment("mmdet::gfl/gfl_r50_fpn_1x_coco.py", None, scenes_dir, seed=5)
    (tmp_path / "config.py").write_text(config_text(stock))
    assert load_experiment(tmp_path / "config.py").randomness.seed == 5
    assert load_experiment(tmp_path / "config.py", seed=0).randomness.seed == 0


def test_a_teacher_without_methods_is_refused(tmp_path, scenes_dir):
    (tmp_path / "x.py").write_text(
        "student = 'pocket/gfl_r18_w16'\n"
        "teacher = dict(config='pocket/gfl_r18_w32', checkpoint='random')\n"
    )
    with pytest.raises(LabError, match="teacher is for methods, and the config names none"):
        load_experiment(tmp_path / "x.py", None, scenes_dir)


def test_a_stock_config_that_does_not_validate_is_named(tmp_path, scenes_dir):
    stock = load_experiment("mmdet::gfl/gfl_r50_fpn_1x_coco.py", None, scenes_dir)
    stock.val_dataloader = stock.val_cfg = stock.val_evaluator = None
    (tmp_path / "x.py").write_text(config_text(stock))
    with pytest.raises(LabError, match="neither a schedule nor mmdet's val_dataloader"):
        load_experiment(tmp_path / "x.py")


def test_a_stock_students_own_seed_is_taken_and_what_stands_beside_it_stays(tmp_path, scenes_dir):
    stock = "_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'\n"
    (tmp_path / "s.py").write_text(stock + "randomness = dict(seed=7, deterministic=True)\n")
    (tmp_path / "x.py").write_text(f"student = {str(tmp_path / 's.py')!r}\n")
    for name in ("s.py", "x.py"):
        cfg = load_experiment(tmp_path / name, None, scenes_dir)
        assert cfg.randomness == dict(seed=7, deterministic=True), name
    with pytest.raises(LabError, match="--skip-bad is for a set that --data names"):
        load_experiment(tmp_path / "s.py", skip_bad=True)


def test_broken_records_of_a_runs_own_set_are_not_asked_for_again(completed, tmp_path):
    (tmp_path / "config.py").write_text(config_text(completed))
    with pytest.raises(LabError, match="--skip-bad is for the experiment's own config"):
        load_experiment(tmp_path / "config.py", skip_bad=True)


def test_missing_data_and_teachers_are_named(tmp_path, scenes_dir):
    with pytest.raises(LabError, match="nowhere"):
        load_experiment("pocket/crosskd", RANDOM, tmp_path / "nowhere")
    with pytest.raises(LabError, match="seed is -3: give a number from 0"):
        load_experiment("pocket/none", seed=-3)
    with pytest.raises(LabError, match="there is no teacher 'nobody'"):
        load_experiment("pocket/crosskd", {"teacher.checkpoint": "nobody"}, scenes_dir)


def test_modules_of_ones_own_are_imported_by_the_runs_config_too(scenes_dir, tmp_path, monkeypatch):
    """Else what a run has trained could not be built again to be measured."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_head", "my_neck", "my_method"):
        (tmp_path / f"{name}.py").touch()
    student = CONFIGS / "pocket/gfl_r18_w16.py"
    for file, more in (
        ("student.py", f"_base_ = {str(student)!r}\ncustom_imports = dict(imports='my_head')"),
        ("teacher.py", f"_base_ = {str(student)!r}\ncustom_imports = dict(imports=['my_neck'])"),
        ("experiment.py", EXPERIMENT),
        ("stock.py", "_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'\n" + EXPERIMENT.split("\n")[0]),
    ):
        (tmp_path / file).write_text(more)
    monkeypatch.chdir(tmp_path)
    engine = "crosskd_lab.engine.train"
    for name, modules in (
        ("experiment", {"my_head", "my_neck", "my_method", engine}),
        ("student", {"my_head", engine}),
        ("stock", {"my_method", engine}),
    ):
        cfg = load_experiment(f"{name}.py", None, scenes_dir)
        assert set(cfg.custom_imports.imports) == modules, name


def test_a_runs_config_loads_again_and_equals(completed, tmp_path):
    (tmp_path / "config.py").write_text(completed.pretty_text, encoding="utf-8")
    for name in (tmp_path / "config.py", tmp_path):
        assert load_experiment(name).to_dict() == completed.to_dict()
    other = load_experiment(tmp_path, seed=7)
    assert other.randomness.seed == other.train_dataloader.dataset.seed == 7
    for words in ({"data": "elsewhere"}, {"settings": {"schedule.steps": 24}}):
        with pytest.raises(LabError, match="has its data and schedule in it"):
            load_experiment(tmp_path, **words)


def test_so_does_that_of_a_run_on_mmdets_own_schedule(scenes_dir, tmp_path):
    known = load_experiment("paper/table1_i3", {"teacher.checkpoint": "random"}, scenes_dir)
    (tmp_path / "config.py").write_text(known.pretty_text, encoding="utf-8")
    assert load_experiment(tmp_path).to_dict() == known.to_dict()
    other = load_experiment(tmp_path, {"optim_wrapper.optimizer.lr": 0.5}, seed=3)
    assert other.optim_wrapper.optimizer.lr == 0.5 and other.randomness.seed == 3
    with pytest.raises(LabError, match="has its data and schedule in it"):
        load_experiment(tmp_path, data="elsewhere")


def test_a_teacher_of_other_classes_is_refused_and_the_same_are_matched(scenes_dir, completed):
    with pytest.raises(LabError, match="only the teacher has dragon:"):
        load_experiment("pocket/crosskd", {**RANDOM, "teacher.classes": ["dragon"]}, scenes_dir)
    names = list(completed.data.classes)
    assert completed.model.classes == names and completed.model.teacher.classes is None
    turned = names[1:] + names[:1]
    cfg = load_experiment("pocket/crosskd", {**RANDOM, "teacher.classes": turned}, scenes_dir)
    pair = build_pair(cfg.model.student, cfg.model.teacher, cfg.model.classes)
    assert pair.teacher_head.class_order == [len(names) - 1, *range(len(names) - 1)]
