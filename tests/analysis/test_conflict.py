"""Conflict on 2 x 2 locations: what is positive and what the teacher says is known by hand."""

from types import SimpleNamespace

import pytest
import torch

from crosskd_lab.conflict import Conflict, conflict_ratio, find_conflict, locate
from crosskd_lab.errors import LabError
from crosskd_lab.heads.base import Predictions, Targets
from crosskd_lab.pair import Pair

IMAGES = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
# 8 x 8 anchors stand around (0, 0), (8, 0), (0, 8) and (8, 8): the box is the last anchor, IoU 1,
# and touches the others in no pixel. ATSS's threshold is 1/4 + 1/2, so it alone is positive.
BOX = [[4.0, 4.0, 12.0, 12.0]]


def says(head, probability, distance=None):
    """Let a GFL head predict one probability everywhere, and edges at ``distance`` strides."""
    for conv in (head.gfl_cls, head.gfl_reg):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    torch.nn.init.constant_(head.gfl_cls.bias, torch.tensor(probability).logit().item())
    if distance is not None:
        head.gfl_reg.bias.data.view(4, -1)[:, distance] = 100.0


def test_four_locations_one_positive(toy_pair, sample):
    pair = toy_pair()
    says(pair.teacher.bbox_head, 0.3)
    found = find_conflict(pair, IMAGES, [sample(BOX, [1])], boxes="exact")
    assert found.label.tolist() == [[2, 2, 2, 1]]
    assert found.target.tolist() == [[[0, 0], [0, 0], [0, 0], [0, 1]]]
    values, classes = found.discrepancy
    assert values[0].tolist() == pytest.approx([0.3, 0.3, 0.3, 0.7], abs=1e-6)
    assert classes[0, 3] == 1
    assert found.area.tolist() == [[0, 0, 0, 64]]
    # Over 1 positive: all four differ by more than 0.29, one by more than 0.5, none by 0.71.
    assert [conflict_ratio(found, t) for t in (0.29, 0.5, 0.71)] == [4, 1, 0]


def test_quality_from_the_teachers_box(toy_pair, sample):
    """Edges two strides from the centre (8, 8): 32 x 32 around the 8 x 8 object, IoU 1/16."""
    pair = toy_pair()
    says(pair.teacher.bbox_head, 0.3, distance=2)
    found = find_conflict(pair, IMAGES, [sample(BOX, [1])])
    assert found.target[0, 3].tolist() == pytest.approx([0, 1 / 16], abs=1e-5)
    assert found.discrepancy[0][0].tolist() == pytest.approx([0.3] * 4, abs=1e-6)


def test_quality_from_the_students_box_is_its_training_label(toy_pair, sample):
    pair = toy_pair()
    says(pair.teacher.bbox_head, 0.3, distance=2)
    says(pair.student.bbox_head, 0.3, distance=1)  # 16 x 16 around the object: IoU 1/4
    found = find_conflict(pair, IMAGES, [sample(BOX, [1])], boxes="student")
    assert found.target[0, 3].tolist() == pytest.approx([0, 1 / 4], abs=1e-5)


@pytest.mark.parametrize("boxes", ["teacher", "exact"])
def test_before_training_the_students_weights_have_no_say(toy_pair, sample, boxes):
    pair, samples = toy_pair((8, 16), 2), [sample(BOX, [0])]
    before = find_conflict(pair, IMAGES, samples, boxes)
    for parameter in pair.student.parameters():
        parameter.data.normal_()
    after = find_conflict(pair, IMAGES, samples, boxes)
    assert torch.equal(before.target, after.target)
    assert before.level.tolist() == [0, 0, 0, 0, 1]


def test_an_image_without_objects_has_no_positive(toy_pair, sample):
    pair = toy_pair()
    says(pair.teacher.bbox_head, 0.3)
    found = find_conflict(pair, IMAGES, [sample([], [])])
    assert not found.positive.any()
    assert found.counted.all()
    assert conflict_ratio(found, 0.2) == 4


def test_padding_is_not_counted(toy_pair, sample):
    made = sample([[0.0, 0.0, 8.0, 8.0]], [0])
    made.set_metainfo(dict(img_shape=(16, 8), pad_shape=(16, 8)))
    found = find_conflict(toy_pair(), IMAGES, [made])
    assert found.counted.tolist() == [[True, False, True, False]]


def test_several_priors_are_reduced_by_the_maximum():
    """A student with 3 priors a location against a teacher with 2, at 2 locations, 2 classes."""
    levels = (torch.zeros(1, 1, 1, 2),)
    logits = torch.tensor([[[0.1, 0.6], [0.3, 0.2], [0.5, 0.5], [0.4, 0.9]]]).logit()
    teacher_head = SimpleNamespace(flat_cls=lambda predictions: logits)
    targets = Targets(
        labels=torch.tensor([[2, 1, -1, 2, 2, 2]]),
        label_weights=torch.tensor([[0, 1, 0, 0, 0, 1.0]]),
        boxes=torch.tensor([[[0, 0, 0, 0], [0, 0, 6, 4], *[[0, 0, 0, 0]] * 4]]).float(),
        num_pos=1.0,
        num_classes=2,
    )
    target = torch.zeros(1, 6, 2)
    target[0, 1, 1] = 1
    metas = [{"scale_factor": (2.0, 2.0)}]
    found = locate(teacher_head, target, Predictions(levels, ()), targets, metas)
    assert torch.allclose(found.teacher, torch.tensor([[[0.3, 0.6], [0.5, 0.9]]]))
    assert found.target.tolist() == [[[0, 1], [0, 0]]]
    assert found.label.tolist() == [[1, 2]]
    assert found.area.tolist() == [[6, 0]]  # 6 x 4 input pixels, halved on either side
    assert found.counted.all()


def test_ignored_locations_are_neither_conflict_nor_positive():
    scores = torch.tensor([[[1.0], [1.0], [0.0]]])
    ones = torch.ones(1, 3)
    counted = torch.tensor([[True, False, True]])
    label = torch.tensor([[1, 0, 0]])
    target = torch.tensor([[[0.0], [0.0], [1.0]]])
    found = Conflict(target, scores, label, ones, counted, torch.zeros(3, dtype=torch.long))
    assert found.positive.tolist() == [[False, False, True]]
    assert conflict_ratio(found, 0.5) == 2


def test_an_unknown_target_is_named(toy_pair, sample):
    with pytest.raises(LabError, match="teacher, student, exact"):
        find_conflict(toy_pair(), IMAGES, [sample(BOX, [1])], boxes="mine")


def test_an_assigner_that_weighs_predictions_needs_a_trained_student(toy_pair, sample, monkeypatch):
    monkeypatch.setattr("crosskd_lab.conflict.DYNAMIC", ("GFLHead",))
    with pytest.raises(LabError, match="GFLHead looks at the student's predictions"):
        find_conflict(toy_pair(), IMAGES, [sample(BOX, [1])])
    assert find_conflict(toy_pair(), IMAGES, [sample(BOX, [1])], boxes="student").positive.any()


@pytest.mark.parametrize("student", ["gfl", "retinanet", "fcos", "atss"])
@pytest.mark.parametrize("teacher", ["gfl", "retinanet", "fcos", "atss"])
def test_any_assigner_against_any_teacher(mixed_pair, sample, student, teacher):
    pair = mixed_pair(student, teacher)
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    boxes = [[16.0, 16, 96, 80], [60, 60, 124, 124]]
    samples = [sample(boxes, [0, 1], size=128), sample(boxes[:1], [1], size=128)]
    found = find_conflict(pair, images, samples)
    cells = [16 * 16, 8 * 8, 4 * 4, 2 * 2, 1]
    assert torch.bincount(found.level).tolist() == cells
    # The teacher's best prior of each location, straight from its maps.
    with torch.no_grad():
        maps = pair.teacher.bbox_head(pair.teacher.extract_feat(images))[0]
    best = [m.sigmoid().unflatten(1, (-1, 2)).amax(1).flatten(2).transpose(1, 2) for m in maps]
    assert torch.allclose(found.teacher, torch.cat(best, 1), atol=1e-6)
    assert found.positive[0].any() and found.positive[1].any()
    assert found.label[1][found.positive[1]].unique().tolist() == [1]
    assert (found.target.amax(-1)[~found.positive] == 0).all()
    on_object = found.target.amax(-1)[found.positive]
    if student == "gfl":
        assert ((on_object >= 0) & (on_object <= 1)).all() and (on_object < 1).any()
    else:
        assert (on_object == 1).all()
    size = found.area[0][found.positive[0]].unique().tolist()
    assert set(size) <= {80 * 64, 64 * 64} and len(size) == 2


def test_it_is_counted_between_dense_heads(beyond_dense, sample):
    pair = Pair(beyond_dense("faster"), beyond_dense("faster", 1))
    with pytest.raises(LabError, match="location by location, between dense heads"):
        find_conflict(pair, IMAGES, [sample(BOX, [1])])
