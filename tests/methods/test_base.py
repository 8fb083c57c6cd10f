"""What all methods share: names, weights, combination, and batches with nothing in them."""

import re
from pathlib import Path

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.methods.base import split_levels
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.taps import collect

THREE = {"crosskd": CrossKD, "kd": PredictionMimicking, "pkd": PKD}


def test_a_combination_is_the_sum_of_its_methods(make_pair, batch, losses_of):
    pair = make_pair()
    pair.student.eval()
    together = losses_of(pair, batch, *(kind() for kind in THREE.values()))
    apart = {}
    for kind in THREE.values():
        apart.update(losses_of(pair, batch, kind()))
    assert {k: v.item() for k, v in together.items()} == {k: v.item() for k, v in apart.items()}
    assert len(together) == 5 and all(name.startswith("loss_") for name in together)


@pytest.mark.parametrize("kind", [CrossKD, PredictionMimicking])
def test_weights_scale_their_terms(make_pair, batch, losses_of, kind):
    pair = make_pair()
    pair.student.eval()
    plain = losses_of(pair, batch, kind())
    scaled = losses_of(pair, batch, kind(cls_weight=3.0, reg_weight=2.0))
    name = f"loss_{kind.name}"
    # GFL's recipe has 1 and 4
    for branch, factor in (("cls", 3.0), ("reg", 2.0 / 4.0)):
        got, was = scaled[f"{name}_{branch}"], plain[f"{name}_{branch}"]
        assert got.item() == pytest.approx(factor * was.item(), rel=1e-6)


@pytest.mark.parametrize("kind", [CrossKD, PredictionMimicking])
def test_the_normaliser_is_the_recipes_or_the_positives(make_pair, batch, losses_of, kind):
    """GFL's recipe divides by the sum of the teacher's scores: undone, the terms are equal."""
    pair = make_pair()
    pair.student.eval()
    name = f"loss_{kind.name}_reg"
    recipe, positives = (
        losses_of(pair, batch, kind(normaliser=said))[name].item()
        for said in ("recipe", "positives")
    )
    taps, _ = collect(pair, batch.inputs, batch.samples)
    scores = pair.teacher_head.flat_cls(taps.teacher.predictions).sigmoid().amax(-1)
    whole = (scores * (taps.targets.label_weights > 0)).sum().item()
    assert recipe * whole == pytest.approx(positives * float(taps.targets.num_pos), rel=1e-4)
    with pytest.raises(LabError, match="normaliser = 'all'.*recipe, positives"):
        kind(normaliser="all")


def test_bad_arguments_are_named():
    with pytest.raises(LabError, match="region = 'inside'.*everywhere, teacher_score"):
        CrossKD(region="inside")
    for branches in ((), ("cls", "box")):
        with pytest.raises(LabError, match="branches.*cls, reg"):
            PredictionMimicking(branches=branches)


@pytest.mark.parametrize("kind", THREE.values(), ids=THREE)
def test_images_without_objects_give_finite_losses(make_pair, make_batch, kind):
    distiller = Distiller(pair=make_pair(), methods=[kind()])
    total, _ = distiller.parse_losses(distiller.loss(*make_batch([[], []])))
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(w.grad).all() for w in distiller.parameters() if w.grad is not None)


def test_the_method_of_contributing_works(make_pair, batch, losses_of):
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?class NeckL2.*?)```", text, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20
    made = {}
    exec(code, made)
    pair = make_pair()
    pair.student.eval()
    got = losses_of(pair, batch, made["NeckL2"](weight=2.0), PKD())["loss_neck_l2"].item()
    taps, _ = collect(pair, batch.inputs, batch.samples)
    squares = zip(taps.student.neck, taps.teacher.neck, strict=True)
    assert got == pytest.approx(2 * sum(((s - t) ** 2).mean().item() for s, t in squares))


def test_flat_priors_go_back_to_their_cells():
    levels = (torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 1, 1))
    split = split_levels(torch.arange(14)[None], levels)
    assert [tuple(level.shape) for level in split] == [(1, 2, 3, 2), (1, 1, 1, 2)]
    assert split[0][0, 1, 2].tolist() == [10, 11]  # row 1, column 2: the sixth cell's two priors
    assert split[1].flatten().tolist() == [12, 13]
