"""Eq. (2) on the proposals."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.methods.rpn_crosskd import RPNCrossKD
from crosskd_lab.pair import Pair


@pytest.mark.parametrize("i", [0, 1])
def test_a_student_that_is_its_teacher_has_no_loss(beyond_dense, make_batch, i):
    student = beyond_dense("faster")
    pair = Pair(student, copy.deepcopy(student), {"checkpoint": "random"})
    losses = Distiller(pair=pair, methods=[RPNCrossKD(i=i)]).loss(*make_batch())
    assert float(losses["loss_crosskd_rpn_cls"]) == pytest.approx(0, abs=1e-6)
    assert float(losses["loss_crosskd_rpn_reg"]) == pytest.approx(0, abs=1e-5)


def test_gradient_reaches_the_pyramid_and_not_the_rpn_itself(beyond_dense, make_batch):
    pair = Pair(*(beyond_dense("faster", s) for s in (0, 1)), {"checkpoint": "random"})
    model = Distiller(pair=pair, methods=[RPNCrossKD(i=0)])
    losses = model.loss(*make_batch())
    (losses["loss_crosskd_rpn_cls"] + losses["loss_crosskd_rpn_reg"]).backward()
    assert all(w.grad is None for w in pair.student.rpn_head.parameters())
    assert all(w.grad is None for w in pair.student.roi_head.parameters())
    assert any(
        w.grad is not None and w.grad.abs().sum() > 0 for w in pair.student.neck.parameters()
    )
    assert all(w.grad is None for w in pair.teacher.parameters())


def test_dense_heads_are_refused(make_pair):
    with pytest.raises(LabError, match="RPNCrossKD serves roi heads, not dense ones"):
        Distiller(pair=make_pair(), methods=[RPNCrossKD()])


def test_saved_students_have_no_extra_keys(beyond_dense):
    pair = Pair(*(beyond_dense("faster", s) for s in (0, 1)))
    model = Distiller(pair=pair, methods=[RPNCrossKD()])
    assert set(model.state_dict()) == set(pair.student.state_dict())
    assert isinstance(model.methods[0].heads[1].head.rpn_conv, torch.nn.Conv2d)
