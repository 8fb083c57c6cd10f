"""The paper's recipes: each reads, pairs and steps; numbers against what the authors published."""

import gc

import pandas as pd
import pytest
import torch

from crosskd_lab.configs import CONFIGS, PUBLIC, teacher_file
from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT

RECIPES = sorted(path.stem for path in (CONFIGS / "paper").glob("*.py"))
# student's epochs; rate; classes of methods and their layer, by the paper and the authors' configs
EPOCHS = {"table6_retinanet": 24, "table6_fcos": 24, "beyond_deformable": 50}


def recipe(name):
    return load_experiment(f"paper/{name}", {"teacher.checkpoint": "random"})


@pytest.mark.parametrize("name", RECIPES)
def test_schedule_optimiser_and_batch_are_the_papers(name):
    cfg = recipe(name)
    epochs = next((n for key, n in EPOCHS.items() if name.startswith(key)), 12)
    assert cfg.train_cfg.max_epochs == epochs
    drops = [p.milestones for p in cfg.param_scheduler if p.type == "MultiStepLR"][0]
    assert drops == {12: [8, 11], 24: [16, 22], 50: [40]}[epochs]
    optimizer = cfg.optim_wrapper.optimizer
    if name.startswith("beyond"):
        kind = "AdamW" if "deformable" in name else "SGD"
        assert optimizer.type == kind
    else:
        assert (optimizer.type, optimizer.lr) == ("SGD", 0.01)
        assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 0.0001)
    assert cfg.train_dataloader.batch_size == (8 if "table6_atss" in name else 2)
    assert cfg.auto_scale_lr.base_batch_size == (32 if "deformable" in name else 16)
    assert cfg.val_evaluator.type == "BoxAP"


LAYERS = {f"table1_i{i}": i for i in range(5)}
WEIGHTS = {  # PKD beside CrossKD, CrossKD's class and box weights: what the heads' recipes say
    "GFL": (6.0, 1.0, 4.0, 3),
    "RetinaNet": (2.0, 1.0, 1.0, 3),
    "FCOS": (2.0, 0.4, 0.75, 2),
    "ATSS": (1.0, 1.0, 1.0, 3),
}


STEPPED = ["table1_i3", "table6_fcos_crosskd", "table8_mobilenet_v2_crosskd"]


def stem(name):
    return name.rpartition("_")[0]


@pytest.fixture(scope="module")
def built(make_batch):
    """Of each pair of student and teacher that the recipes name, by the first of these: kind and
    adapter of the teacher, and for some the losses of a step. One pair lives at a time."""
    found, seen = {}, set()
    for name in RECIPES:
        cfg = recipe(name)
        key = repr((cfg.model.student, cfg.model.teacher))
        if not cfg.model.methods or key in seen:
            continue
        seen.add(key)
        batch = make_batch([[[8, 8, 30, 40]]]) if stem(name) in map(stem, STEPPED) else None
        found[name] = look(cfg.model, batch)
        gc.collect()
    return found


def look(words, batch):
    words.student.backbone.init_cfg = None
    words.teacher.config.backbone.init_cfg = None
    model = Distiller(words.student, words.teacher, words.methods)
    with torch.no_grad():
        losses = model.loss(*batch) if batch else None
    kind = type(model.pair.teacher).__name__
    return kind, getattr(model.pair.teacher_head, "defaults", None), losses


def test_every_pair_builds_with_the_authors_weights(built):
    assert len(built) == 11
    seen = set()
    for kind, defaults, _ in built.values():
        if kind in WEIGHTS:
            numbers = (defaults.neck_weight, defaults.cls_weight, defaults.reg_weight)
            assert (*numbers, defaults.layer) == WEIGHTS[kind]
            seen.add(kind)
    assert seen == set(WEIGHTS)


@pytest.mark.parametrize("name", STEPPED)
def test_a_recipe_steps(built, name):
    losses = next(losses for n, (_, _, losses) in built.items() if stem(n) == stem(name))
    assert any(key.startswith("loss_") for key in losses)
    assert all(
        torch.isfinite(torch.as_tensor(v)).all() for v in losses.values() if torch.is_tensor(v)
    )


def test_the_layer_is_the_rows():
    for name, layer in LAYERS.items():
        assert recipe(name).model.methods[0]["i"] == layer


def test_every_trained_row_of_the_paper_has_its_recipe():
    """Rows that repeat another table's are named once; the count is read from the tables."""
    rows = {n: pd.read_csv(PROJECT / f"data/paper/table{n}.csv") for n in range(1, 9)}
    trained = {n: int((frame["role"] != "teacher").sum()) for n, frame in rows.items()}
    assert trained == {1: 7, 2: 6, 3: 6, 4: 4, 5: 13, 6: 6, 7: 6, 8: 6}
    count = {n: sum(name.startswith(f"table{n}_") for name in RECIPES) for n in range(1, 9)}
    # of table 2, none and CrossKD are table 1's; of 3, the two with both branches; of 4, all but
    # one; of 7, both students alone are table 5's
    assert count == {1: 7, 2: 4, 3: 4, 4: 1, 5: 13, 6: 6, 7: 4, 8: 6}


def test_teachers_are_public_or_say_what_to_do():
    for name in RECIPES:
        text = (CONFIGS / "paper" / f"{name}.py").read_text()
        teacher = text.partition('checkpoint="')[2].partition('"')[0]
        assert teacher in PUBLIC or f"data/teachers/{teacher}.safetensors" in text


def test_a_public_teacher_is_fetched_only_when_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr("crosskd_lab.configs.local_file", lambda name: tmp_path / f"{name}.pth")
    for named in ("gfl_r50", PUBLIC["gfl_r50"]):
        with pytest.raises(LabError, match="not here yet: crosskd-lab teachers get gfl_r50"):
            teacher_file(named)
    (tmp_path / "gfl_r50.pth").touch()
    assert teacher_file("gfl_r50") == str(tmp_path / "gfl_r50.pth")


def test_the_data_set_can_be_anywhere_and_of_any_classes(scenes_dir):
    cfg = load_experiment("paper/table1_i3", {"teacher.checkpoint": "random"}, scenes_dir)
    assert cfg.train_dataloader.dataset.ann_file == str(scenes_dir / "annotations/train.json")
    assert cfg.val_evaluator.annotations == str(scenes_dir / "annotations/val.json")
    assert len(cfg.model.classes) == 10
    for model in (cfg.model.student, cfg.model.teacher.config):
        assert model.bbox_head.num_classes == 10
