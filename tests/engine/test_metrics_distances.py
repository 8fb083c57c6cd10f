"""Fig. 6's distances are added to a validation's metrics, where there is a teacher."""

from types import SimpleNamespace

import pytest
import torch

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.metrics import Distances
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.heads import adapter_for


def test_a_detector_alone_gets_none():
    metrics = {}
    Distances().after_val_epoch(SimpleNamespace(model=torch.nn.Linear(1, 1)), metrics)
    assert metrics == {}


def test_they_are_those_of_the_models_own_scores(tiny, tmp_path):
    prepare_engine()
    runner = build_runner(tiny(), tmp_path / "run")
    model = runner.model.eval()
    dataset = runner.val_loop.dataloader.dataset
    metrics = {}
    hook = Distances(images=3)
    hook.after_val_epoch(runner, metrics)
    count = sum(len(batch["data_samples"]) for batch in hook._distances.batches)
    assert 3 <= count < 3 + runner.val_loop.dataloader.batch_size

    difference = positives = 0.0
    for index in range(count):  # one by one, through stock forward
        batch = model.data_preprocessor(
            {"inputs": [dataset[index]["inputs"]], "data_samples": [dataset[index]["data_samples"]]}
        )
        with torch.no_grad():
            scores = [
                torch.cat(
                    [level.sigmoid().flatten() for level in side._forward(batch["inputs"])[0]]
                )
                for side in (model.pair.student, model.pair.teacher)
            ]
            head = adapter_for(model.pair.student.bbox_head)
            walked = head.forward_towers(
                model.pair.student.extract_feat(batch["inputs"])
            ).predictions
            samples = batch["data_samples"]
            _, targets = head.detection_losses(
                walked, [s.gt_instances for s in samples], [s.metainfo for s in samples]
            )
        difference += float((scores[0] - scores[1]).abs().sum())
        positives += int(targets.positive.sum())
    assert metrics["l1_teacher"] == pytest.approx(difference / positives, rel=1e-4)
    parts = [metrics[f"l1_truth_{part}"] for part in ("positive", "background")]
    assert metrics["l1_truth"] == pytest.approx(sum(parts)) and min(parts) > 0


def test_they_go_by_the_names_of_classes_not_by_their_ids(scenes_dir, turned_dir, tmp_path):
    """A validation set whose categories have other ids than the training set's."""
    prepare_engine()
    settings = {"teacher.checkpoint": "gfl_r18_w32", "schedule.batch": 4}
    found = []
    for data in (scenes_dir, turned_dir):
        torch.manual_seed(0)
        cfg = load_experiment("pocket/none", settings, data)
        runner = build_runner(cfg, tmp_path / data.name)
        runner.model.eval()
        found.append({})
        Distances(images=4).after_val_epoch(runner, found[-1])
    assert found[0] == pytest.approx(found[1]) and len(found[0]) == 4


def test_the_student_is_listened_to_and_not_run_again(tiny, tmp_path):
    prepare_engine()
    runner = build_runner(tiny(), tmp_path / "run")
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, Distances)]
    runs = []
    backbone = runner.model.eval().backbone
    counted = backbone.register_forward_hook(lambda *_: runs.append(1))
    heard = runner.val_loop.run()
    counted.remove()
    assert len(runs) == len(runner.val_loop.dataloader), "once a batch, for the validation itself"
    assert not runner.model.bbox_head._forward_hooks, "nobody listens any longer"

    walked = {}
    fresh = Distances(hook.images)
    fresh.after_val_epoch(runner, walked)
    assert set(walked) == {"l1_teacher", "l1_truth", "l1_truth_positive", "l1_truth_background"}
    for name, value in walked.items():
        assert heard[name] == pytest.approx(value, rel=1e-5)


def test_heads_that_are_not_dense_are_left_out(beyond_dense):
    """Fig. 6 compares scores location by location; RoIs and queries have no such places."""
    from types import SimpleNamespace

    from crosskd_lab.distiller import Distiller
    from crosskd_lab.engine.metrics import Distances
    from crosskd_lab.pair import Pair

    pair = Pair(*(beyond_dense("faster", seed) for seed in (0, 1)))
    metrics = {"AP": 1.0}
    Distances().after_val_epoch(SimpleNamespace(model=Distiller(pair=pair)), metrics)
    assert metrics == {"AP": 1.0}
