"""PKD at the neck and in the towers, against correlations computed in NumPy."""

import numpy as np
import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair


def distance(student, teacher):
    """Mean over channels of (1 - r)(n - 1)/n, in float64; a flat channel is its zero."""
    s, t = (x.detach().double().numpy().swapaxes(0, 1).reshape(16, -1) for x in (student, teacher))
    standard = [
        (x - x.mean(1, keepdims=True)) / (x.std(1, ddof=1, keepdims=True) + 1e-6) for x in (s, t)
    ]
    return 0.5 * np.mean((standard[0] - standard[1]) ** 2)


def maps(detector, inputs, where, i):
    features = detector.extract_feat(inputs)
    if where == "neck":
        return features
    tower = detector.bbox_head.cls_convs if where == "cls" else detector.bbox_head.reg_convs
    out = []
    for x in features:
        for layer in list(tower)[:i]:
            x = torch.relu(layer.gn(layer.conv(x)))
        out.append(x)
    return out


@pytest.mark.parametrize(("where", "i"), [("neck", 3), ("cls", 3), ("reg", 3), ("reg", 1)])
def test_losses_agree_with_numpy(make_pair, batch, losses_of, where, i):
    pair = make_pair(4)
    pair.student.eval()
    losses = losses_of(pair, batch, PKD(weight=2.0, where=where, i=i))
    both = (maps(detector, batch.inputs, where, i) for detector in (pair.student, pair.teacher))
    pairs = zip(*both, strict=True)
    wanted = 2.0 * sum(distance(s, t) for s, t in pairs)
    assert set(losses) == {f"loss_pkd_{where}"}
    assert losses[f"loss_pkd_{where}"].item() == pytest.approx(wanted, rel=1e-5)


def test_several_places_are_several_losses(make_pair, batch, losses_of):
    pair = make_pair()
    pair.student.eval()
    both = losses_of(pair, batch, PKD(where=("cls", "reg")))
    assert set(both) == {"loss_pkd_cls", "loss_pkd_reg"}
    for where in ("cls", "reg"):
        name = f"loss_pkd_{where}"
        assert both[name].item() == losses_of(pair, batch, PKD(where=where))[name].item()


def test_the_neck_gets_gradient_and_the_head_none(make_pair, batch, losses_of):
    pair = make_pair()
    losses_of(pair, batch, PKD())["loss_pkd_neck"].backward()
    assert pair.student.neck.fpn_convs[0].conv.weight.grad.abs().sum() > 0
    assert all(w.grad is None for w in pair.student.bbox_head.parameters())
    assert all(w.grad is None for w in pair.teacher.parameters())


def test_unknown_places_and_layers_are_named(make_pair, batch, losses_of):
    with pytest.raises(LabError, match="where = 'fpn'.*neck, cls, reg"):
        losses_of(make_pair(), batch, PKD(where="fpn"))
    with pytest.raises(LabError, match=r"i = 5 .*0 \.\.\. 4"):
        losses_of(make_pair(), batch, PKD(where="cls", i=5))


def test_a_decoder_has_no_towers(beyond_dense):
    pair = Pair(beyond_dense("deformable", 0), beyond_dense("deformable", 1))
    PKD().attach(pair.student_head, pair.teacher_head)
    with pytest.raises(LabError, match="say where='neck'"):
        PKD(where="cls").attach(pair.student_head, pair.teacher_head)
