"""The model that trains: stock losses, an invisible teacher, a student that loads into mmdet."""

import copy
import re

import numpy as np
import pytest
import torch

from crosskd_lab.distiller import Distiller, build_method
from crosskd_lab.errors import LabError
from crosskd_lab.methods.base import Method
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.gid import GID
from crosskd_lab.methods.ld import LD
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.methods.skd import SKD
from crosskd_lab.pair import Pair

DETECTION = ("loss_cls", "loss_bbox", "loss_dfl")


@pytest.fixture
def distiller(make_pair):
    return Distiller(pair=make_pair(), methods=[CrossKD(), PKD()])


@pytest.mark.parametrize("methods", [[], [CrossKD(), PredictionMimicking(), PKD()]])
def test_detection_losses_are_stock_to_the_bit(make_pair, make_batch, methods):
    pair = make_pair()
    stock = copy.deepcopy(pair.student).train()
    distiller = Distiller(pair=pair, methods=methods).train()
    inputs, samples = make_batch()
    ours, theirs = distiller.loss(inputs, samples), stock.loss(inputs, samples)
    assert set(DETECTION) == set(theirs) <= set(ours)
    for name in DETECTION:
        assert all(torch.equal(a, b) for a, b in zip(ours[name], theirs[name], strict=True))
    # the running statistics of the backbone went the same way, too
    own = distiller.pair.student.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in stock.state_dict().items())


def test_the_assigner_runs_once_a_step_and_the_head_is_left_as_it_was(distiller, make_batch):
    assigner, calls = distiller.bbox_head.assigner, []
    own = assigner.assign
    assigner.assign = lambda *a, **k: calls.append(1) or own(*a, **k)
    inputs, samples = make_batch()
    before = set(vars(distiller.bbox_head))
    distiller.loss(inputs, samples)
    assert len(calls) == len(samples)
    assert set(vars(distiller.bbox_head)) == before


def test_the_teacher_is_invisible(distiller):
    hidden = {
        id(w) for w in (*distiller.pair.teacher.parameters(), *distiller.pair.teacher.buffers())
    }
    seen = {id(w) for w in (*distiller.parameters(), *distiller.buffers())}
    assert hidden and not hidden & seen
    modules = {id(m) for m in distiller.pair.teacher.modules()}
    assert not modules & {id(m) for _, m in distiller.named_modules()}
    assert set(distiller.state_dict()) == set(distiller.pair.student.state_dict())


def test_the_teacher_stays_in_evaluation_mode(distiller):
    for mode in (True, False, True):
        distiller.train(mode)
        assert distiller.pair.student.training is mode
        assert not any(m.training for m in distiller.pair.teacher.modules())


def test_the_teacher_follows_to_another_type(distiller):
    distiller.to(torch.float64)
    for detector in (distiller.pair.student, distiller.pair.teacher):
        assert {w.dtype for w in detector.parameters()} == {torch.float64}


def test_a_step_moves_the_student_and_not_the_teacher(distiller, make_batch):
    distiller.train()
    before = {k: v.clone() for k, v in distiller.state_dict().items()}
    frozen = {k: v.clone() for k, v in distiller.pair.teacher.state_dict().items()}
    optimiser = torch.optim.SGD(distiller.parameters(), lr=0.01)
    total, _ = distiller.parse_losses(distiller.loss(*make_batch()))
    total.backward()
    optimiser.step()
    assert all(w.grad is None for w in distiller.pair.teacher.parameters())
    assert all(torch.equal(v, frozen[k]) for k, v in distiller.pair.teacher.state_dict().items())
    moved = [k for k, v in distiller.state_dict().items() if not torch.equal(v, before[k])]
    assert "backbone.conv1.weight" in moved and "bbox_head.gfl_cls.weight" in moved


def test_the_engine_adds_up_detection_and_every_method(distiller, make_batch):
    distiller.eval()
    losses = distiller.loss(*make_batch())
    total, log = distiller.parse_losses(losses)
    parts = [sum(v) if isinstance(v, list) else v for v in losses.values()]
    assert all("loss" in name for name in losses)
    assert total.item() == pytest.approx(sum(p.item() for p in parts), rel=1e-6)
    assert {"loss_crosskd_cls", "loss_crosskd_reg", "loss_pkd_neck"} <= set(log)


def test_two_losses_of_one_name_are_refused(make_pair, make_batch):
    distiller = Distiller(pair=make_pair(), methods=[CrossKD(i=2), CrossKD(i=3)])
    with pytest.raises(LabError, match="loss named loss_crosskd_cls"):
        distiller.loss(*make_batch())


def test_a_teacher_asleep_is_refused(make_detector, make_batch):
    teacher = make_detector(1)
    torch.nn.init.zeros_(teacher.bbox_head.gfl_cls.weight)
    teacher.bbox_head.gfl_cls.bias.data.fill_(-4.6)  # what an untrained focal-loss head has
    distiller = Distiller(pair=Pair(make_detector(0), teacher), methods=[CrossKD()])
    with pytest.raises(LabError, match=r"teacher's best score.* 0\.0100"):
        distiller.loss(*make_batch())


def test_what_is_no_method_is_named():
    assert isinstance(build_method(dict(type=PKD, weight=1.0)), PKD)
    assert isinstance(build_method(dict(type="crosskd_lab.methods.CrossKD", i=2)), Method)
    with pytest.raises(LabError, match="methods list Method classes.*got type="):
        build_method(dict(type=dict))
    with pytest.raises(LabError, match="option of CrossKD = 'layer' is unknown.*cls_weight.*align"):
        build_method(dict(type=CrossKD, layer=3))
    with pytest.raises(LabError, match="student=.*teacher=.*pair="):
        Distiller()
    assert isinstance(build_method(CrossKD), CrossKD)
    named = build_method(dict(type="CrossKD", i=2, branches="cls"))  # as in a stock config
    assert isinstance(named, CrossKD) and (named.i, named.branches) == (2, ("cls",))
    with pytest.raises(LabError, match="type = 'CrossKd' is unknown: choose one of .*CrossKD"):
        build_method(dict(type="CrossKd"))


def test_a_method_without_options_says_so():
    class Plain(Method):
        pass

    with pytest.raises(LabError, match="Plain takes no options, got weight"):
        build_method(dict(type=Plain, weight=1.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(cls_weight="heavy"), "CrossKD: cls_weight = 'heavy': give a number"),
        (dict(reg_weight=float("nan")), "CrossKD: reg_weight = nan: give a number"),
        (dict(reg_weight=-1), "CrossKD: reg_weight = -1: give a number, 0 or more"),
        (dict(i=2.0), "CrossKD: i = 2.0: give a whole number"),
        (dict(i=True), "CrossKD: i = True: give a whole number"),
        (dict(align="mean"), "align = 'mean' is unknown: choose one of statistics, none, conv"),
        (dict(align=5), "align = 5: give a name, a function of two maps, or a dict"),
        (dict(type=LD, temperature=0), "LD: temperature = 0: give a number above 0"),
        (dict(type=GID, count=0), "GID: count = 0: give a whole number above 0"),
        (dict(type=SKD, scope="all"), "scope = 'all' is unknown"),
        (dict(type=PKD, where=()), "PKD: where names no place: give some of neck, cls, reg"),
        (dict(type=PKD, where="fpn"), "where = 'fpn' is unknown: choose one of neck, cls, reg"),
    ],
)
def test_what_is_no_number_is_named(given, said):
    with pytest.raises(LabError, match=re.escape(said)):
        build_method(dict(type=CrossKD) | given)


def test_an_option_of_ones_own_is_zero_unless_its_last_word_divides():
    class Own(Method):
        def __init__(self, discount: float = 0.5, count: int = 1) -> None:
            super().__init__()

    build_method(dict(type=Own, discount=0.0))
    with pytest.raises(LabError, match="Own: count = 0: give a whole number above 0"):
        build_method(dict(type=Own, count=0))


@pytest.mark.parametrize("name", ["own_loss", "loss_cls"])
def test_what_is_measured_is_never_added_up(name, make_detector, make_batch):
    class Odd(Method):
        def losses(self, taps):
            return {}

        def measures(self, taps):
            return {name: torch.ones(())}

    pair = Pair(make_detector(0), make_detector(1), {"checkpoint": "random"})
    distiller = Distiller(pair=pair, methods=[Odd()])
    distiller.loss(*make_batch())
    distiller.logged = True
    with pytest.raises(LabError, match=f"Odd.measures names '{name}': give names .* without 'loss"):
        distiller.loss(*make_batch())


def test_a_number_of_ones_own_may_be_below_zero():
    class Shifted(Method):
        def __init__(self, margin: float = 0.0) -> None:
            super().__init__()
            self.margin = margin

    assert build_method(dict(type=Shifted, margin=-0.5)).margin == -0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"logit_l2": torch.ones(())}, "names 'logit_l2': only names that begin with loss_ count"),
        ({"loss_map": torch.ones(2, 3)}, "loss_map is no scalar but (2, 3): sum or average it"),
        (torch.ones(()), "Odd.losses gives Tensor: give a dict of named losses"),
        ({"loss_a": 0.5}, "Odd: loss_a is a float: give a tensor, a scalar"),
    ],
)
def test_a_loss_that_would_not_be_added_up_is_refused(given, said, make_detector, make_batch):
    class Odd(Method):
        def losses(self, taps):
            return given

    pair = Pair(make_detector(0), make_detector(1), {"checkpoint": "random"})
    with pytest.raises(LabError, match=re.escape(said)):
        Distiller(pair=pair, methods=[Odd()]).loss(*make_batch())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(methods=CrossKD()), "methods is a list"),
        (dict(methods=dict(type=CrossKD)), "methods is a list"),
        (dict(methods=[CrossKD(i="3")]), "layer index i = '3' is out of range"),
        (dict(tap="after"), "tap"),
        (dict(student={}, teacher={}), "name it alone"),
        (dict(classes=["cat"]), "name it alone"),
        (dict(data_preprocessor={"type": "DetDataPreprocessor"}), "in the student's model"),
    ],
)
def test_what_does_not_fit_is_refused(make_pair, given, said):
    with pytest.raises(LabError, match=said):
        Distiller(pair=make_pair(), **given)
    with pytest.raises(LabError, match="or a ready pair"):
        Distiller()


def test_a_loss_in_inference_mode_leaves_nothing_that_training_trips_over(make_pair, make_batch):
    distiller = Distiller(pair=make_pair(), methods=[CrossKD(), PredictionMimicking()])
    with torch.inference_mode():
        distiller.loss(*make_batch())
    total, _ = distiller.parse_losses(distiller.loss(*make_batch()))
    total.backward()
    assert distiller.bbox_head.gfl_cls.weight.grad.abs().sum() > 0


def test_a_layer_may_be_numpys_number(make_pair):
    assert len(Distiller(pair=make_pair(), methods=[CrossKD(i=np.int64(2))]).methods) == 1


def test_a_tap_is_of_dense_heads(beyond_dense):
    pair = Pair(beyond_dense("faster"), beyond_dense("faster", 1))
    with pytest.raises(LabError, match="tap='pre_relu' is for dense heads"):
        Distiller(pair=pair, tap="pre_relu")
