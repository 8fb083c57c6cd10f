"""Gradients against derivatives taken by hand; concentration against sums done by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.gradients import (
    concentration,
    cosine,
    energy,
    energy_cells,
    energy_map,
    gini,
    gradient,
    gradient_view,
    gradients,
    inside_boxes,
    loss_terms,
    measure_gradients,
    term_views,
)
from crosskd_lab.heads.base import HeadTaps, Predictions
from crosskd_lab.methods.base import Method
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

MIDDLES = torch.tensor([[2.0, 2], [6, 2], [2, 6], [6, 6]])  # one level, 2 x 2, stride 4


class Squares(Method):
    """A loss whose gradient with respect to f is 2 f times a factor."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def losses(self, taps):
        return {"loss_squares": self.factor * sum(f.square().sum() for f in taps.student.neck)}


@pytest.fixture
def taps():
    """One image, two channels on 2 x 2 locations, a box around the centre (2, 2)."""
    feature = torch.tensor([[[[1.0, -2], [0, 3]], [[4.0, 0], [0, -1]]]], requires_grad=True)
    head = SimpleNamespace(priors=lambda levels: MIDDLES, check_layer=lambda i: None)
    walk = HeadTaps((feature,), {}, Predictions((torch.zeros(1, 1, 2, 2),), ()))
    truth = SimpleNamespace(bboxes=torch.tensor([[0.0, 0, 3, 3]]))
    return SimpleNamespace(
        student=walk,
        teacher=walk,
        student_head=head,
        teacher_head=head,
        gt_instances=[truth],
        metas=[{"img_id": 42}],
    )


def both(taps, factor=1.0):
    """Gradients of "detection", the sum of squares, and of another multiple of it."""
    detection = {"loss_cls": [taps.student.neck[0].square().sum()], "acc": torch.tensor(9.0)}
    return gradients(taps, loss_terms(taps, detection, {"KD": Squares(factor)}))


def test_gradients_and_their_energy_by_hand(taps):
    found = both(taps, 3.0)
    assert torch.equal(found["detection"][0], 2 * taps.student.neck[0])
    assert torch.equal(found["KD"][0], 6 * taps.student.neck[0])
    assert energy(found["detection"])[0].tolist() == [[[10, 4], [0, 8]]], "summed over channels"
    drawn = energy_map(taps, found["detection"], 0, (8, 8))
    assert drawn[0, 0] == 10 / 16
    assert drawn[7, 7] == 8 / 16
    assert drawn.sum() == 22


def test_a_loss_that_does_not_reach_has_no_gradient():
    feature = torch.ones(1, 2, 3, 3, requires_grad=True)
    other = torch.ones(2, requires_grad=True)
    assert not gradient(other.sum(), (feature,))[0].any()
    assert not gradient(torch.tensor(1.0), (feature,))[0].any()


def test_concentration_by_hand(taps):
    """Energy 10, 4, 0, 8 with the first location in the box."""
    frame = concentration(taps, both(taps, -0.5)).set_index("loss")
    assert frame.loc["detection", "inside"] == pytest.approx(10 / 22)
    assert (frame["area"] == 0.25).all()
    # Ranked 0, 4, 8, 10: (-3 * 0 - 1 * 4 + 1 * 8 + 3 * 10) / (4 * 22).
    assert frame["gini"].tolist() == pytest.approx([34 / 88] * 2)
    assert frame["cosine"].tolist() == pytest.approx([1, -1])
    assert frame["image"].tolist() == [42, 42]


def test_boxes_hold_their_borders_and_images_without_boxes_hold_nothing(taps):
    taps.gt_instances[0].bboxes = torch.tensor([[2.0, 0, 6, 2]])
    assert inside_boxes(taps).tolist() == [[True, True, False, False]]
    taps.gt_instances[0].bboxes = torch.zeros(0, 4)
    assert not inside_boxes(taps).any()


def test_gini_of_equals_a_spike_and_random_values():
    spike = torch.zeros(7)
    spike[3] = 5
    assert gini(torch.stack([torch.full((7,), 0.3), spike])).tolist() == pytest.approx([0, 6 / 7])
    values = torch.rand(30, generator=torch.Generator().manual_seed(0)).double()
    reference = (values[:, None] - values).abs().mean() / (2 * values.mean())
    assert gini(values).item() == pytest.approx(reference.item())


def test_what_a_coarse_level_holds_is_spread_over_the_cells_under_it(taps):
    """Four cells of one, and a coarse location of 4 over all of them: equal shares, Gini 0."""
    middles = torch.cat([MIDDLES, torch.tensor([[4.0, 4]])])
    taps.student_head.priors = lambda levels: middles
    taps.student = HeadTaps(
        (), {}, Predictions((torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)), ())
    )
    flat = (torch.ones(1, 1, 2, 2), torch.full((1, 1, 1, 1), 4.0))
    assert energy_cells(taps, flat).tolist() == [[2, 2, 2, 2]]
    assert gini(energy_cells(taps, flat)).tolist() == [0]
    peak = (torch.tensor([[[[0.0, -3], [0, 0]]]]), torch.zeros(1, 1, 1, 1))
    assert energy_cells(taps, peak).tolist() == [[0, 3, 0, 0]]


def test_cosine_is_taken_image_by_image_over_all_levels():
    one = (torch.tensor([[[[1.0]]], [[[1.0]]]]), torch.tensor([[[[0.0]]], [[[1.0]]]]))
    other = (torch.tensor([[[[0.0]]], [[[2.0]]]]), torch.tensor([[[[3.0]]], [[[0.0]]]]))
    assert cosine(one, one).tolist() == pytest.approx([1, 1])
    assert cosine(one, other).tolist() == pytest.approx([0, 2**-0.5])
    assert cosine(one, tuple(torch.zeros_like(g) for g in one)).isnan().all()


def test_over_a_pair_every_source_is_measured_at_every_place(toy_pair, sample):
    """At f_2, CrossKD with i = 1 has no gradient; the neck gets one from everything."""
    pair = toy_pair((8, 16), 2)
    for parameter in pair.student.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    necks = pair.teacher.extract_feat  # else both necks are equal, and PKD has nothing to pull
    pair.teacher.extract_feat = lambda images: tuple(f.square() for f in necks(images))
    draw = torch.Generator().manual_seed(0)
    batch = {
        "inputs": torch.rand(2, 3, 32, 32, generator=draw).requires_grad_(),
        "data_samples": [
            sample([[4.0, 4, 20, 20]], [0], size=32),
            sample([[8.0, 0, 32, 24]], [1], size=32),
        ],
    }
    methods = {"CrossKD": CrossKD(i=1), "KD": PredictionMimicking(), "PKD": PKD()}
    places = [("neck", 0), ("cls", 2)]
    frame = measure_gradients(pair, [batch, batch], methods, places)
    assert len(frame) == 2 * 2 * 2 * 4
    assert set(frame["loss"]) == {"detection", *methods}
    neck = frame[frame["where"] == "neck"]
    assert neck[["inside", "gini", "cosine"]].notna().all(axis=None)
    assert np.allclose(neck[neck["loss"] == "detection"]["cosine"], 1)
    assert neck["cosine"].abs().max() <= 1 + 1e-9
    deep = frame[frame["where"] == "cls"].set_index("loss")
    assert deep.loc[["CrossKD", "PKD"], "gini"].isna().all()
    assert deep.loc[["detection", "KD"], "gini"].notna().all()
    assert all(p.grad is None for p in [*pair.student.parameters(), *pair.teacher.parameters()])


def test_it_measures_under_no_grad_and_says_where_there_is_no_gradient(toy_pair, sample):
    pair, draw = toy_pair((8, 16), 2), torch.Generator().manual_seed(0)
    inputs = torch.rand(1, 3, 32, 32, generator=draw).requires_grad_()  # this neck has no weights
    batch = {"inputs": inputs, "data_samples": [sample([[4.0, 4, 20, 20]], [0], size=32)]}
    methods = {"CrossKD": CrossKD(i=1)}
    frame = measure_gradients(pair, [batch], methods)
    with torch.no_grad():
        again = measure_gradients(pair, [batch], methods)
    assert frame["inside"].notna().all() and frame.equals(again)
    with pytest.raises(LabError, match="CrossKD learns a conv: attach it to a pair first"):
        measure_gradients(pair, [batch], {"CrossKD": CrossKD(i=1, align="conv")})
    with pytest.raises(LabError, match="no gradient reaches the student's neck: its weights are"):
        measure_gradients(pair, [batch | {"inputs": inputs.detach()}], methods)


def test_terms_add_up_to_their_source(toy_pair, sample):
    """One term is all of its source; at f_2 of the class tower CrossKD with i = 1 has no pull."""
    pair = toy_pair((8, 16), 2)
    for parameter in pair.student.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    pair.student.data_preprocessor = SimpleNamespace(mean=torch.zeros(1), std=torch.ones(1))
    draw = torch.Generator().manual_seed(0)
    inputs = torch.rand(1, 3, 32, 32, generator=draw).requires_grad_()
    batch = {"inputs": inputs, "data_samples": [sample([[4.0, 4, 20, 20]], [0], size=32)]}
    methods = {"CrossKD": CrossKD(i=1), "own": Squares()}
    views = term_views(pair, batch, methods, [("neck", 0), ("cls", 2)])
    neck, deep = views["neck", 0].maps, views["cls", 2].maps
    assert np.array_equal(neck["own"], neck["own: loss_squares"]) and neck["own"].any()
    crossed = [name for name in neck if name.startswith("CrossKD:")]
    assert len(crossed) == 2 and all(neck[name].any() for name in crossed)
    assert not any(deep[name].any() for name in ["CrossKD", *crossed])
    assert deep["detection"].any() and neck["detection"].shape == (32, 32)


def test_heads_without_locations_are_refused(beyond_dense):
    pair = Pair(beyond_dense("faster", 0), beyond_dense("faster", 1))
    batch = {"inputs": torch.zeros(1, 3, 64, 64), "data_samples": []}
    for view in (gradient_view, lambda *given: measure_gradients(given[0], [given[1]], given[2])):
        with pytest.raises(LabError, match="of dense heads: choose such a pair"):
            view(pair, batch, {})
