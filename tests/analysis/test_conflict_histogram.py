"""Histograms of discrepancy give what direct counting gives, in one piece or in many."""

import numpy as np
import pytest
import torch

from crosskd_lab.conflict import Conflict, ConflictHistogram
from crosskd_lab.errors import LabError

STRIDES, CLASSES, AREAS = (8, 16), ("a", "b", "c"), (4, 8)


def by_hand():
    """Five locations: the last is ignored; a small "b", a large "a" and two of background."""
    teacher = torch.tensor(
        [[[0.0, 0.25, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]
    )
    target = torch.zeros(1, 5, 3)
    target[0, 0, 1] = target[0, 1, 0] = 1
    return Conflict(
        target,
        teacher,
        label=torch.tensor([[1, 0, 3, 3, 3]]),
        area=torch.tensor([[9.0, 64.0, 0, 0, 0]]),
        counted=torch.tensor([[True, True, True, True, False]]),
        level=torch.tensor([0, 0, 0, 1, 1]),
    )


def at_random(count, images=1, seed=0):
    """Scores on a grid of hundredths, so that many discrepancies lie right on the bins' edges."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 4, (images, count), generator=draw)
    one_hot = torch.nn.functional.one_hot(label, 4)[..., :3].float()
    area = torch.rand(images, count, generator=draw) * 100 * (label < 3)
    return Conflict(
        one_hot,
        torch.randint(0, 101, (images, count, 3), generator=draw) / 100,
        label,
        area,
        torch.rand(images, count, generator=draw) > 0.1,
        torch.arange(count) % 2,
    )


def counted(*batches):
    histogram = ConflictHistogram(STRIDES, CLASSES, AREAS)
    for batch in batches:
        histogram.add(batch)
    return histogram


def part(conflict, images):
    fields = (getattr(conflict, n)[images] for n in ("target", "teacher", "label", "area"))
    return Conflict(*fields, conflict.counted[images], conflict.level)


def rows(histogram, threshold):
    frame = histogram.frame()
    frame = frame[np.isclose(frame["threshold"], threshold)]
    return {(r.by, r.group): (r.conflicts, r.positives) for r in frame.itertuples()}


def test_a_count_done_by_hand():
    """Discrepancies 0.75 (class b), 0.5 (a), 0.5 (c) and 0; above 0.4 there are three."""
    found = rows(counted(by_hand()), 0.4)
    assert found == {
        ("all", "all"): (3, 2),
        ("level", "stride 8"): (3, 2),
        ("level", "stride 16"): (0, 0),
        ("size", "small"): (1, 1),  # 9 < 4 x 4
        ("size", "medium"): (0, 0),
        ("size", "large"): (1, 1),  # 64 = 8 x 8 is large
        ("size", "background"): (1, 2),  # held against all positives
        ("class", "a"): (1, 1),
        ("class", "b"): (1, 1),
        ("class", "c"): (1, 0),
    }


def test_the_threshold_itself_is_no_conflict_and_without_positives_there_is_no_ratio():
    histogram = counted(by_hand())
    assert rows(histogram, 0.5)["all", "all"] == (1, 2)
    assert rows(histogram, 0.49)["all", "all"] == (3, 2)
    assert rows(histogram, 0)["all", "all"] == (3, 2)  # a discrepancy of 0 is above no threshold
    assert rows(histogram, 1)["all", "all"] == (0, 2)
    ratio = histogram.frame().set_index(["by", "group", "threshold"])["ratio"]
    assert ratio["all", "all", 0.4] == 1.5
    assert np.isnan(ratio["class", "c", 0.4])


def test_curves_of_a_level_a_class_and_both_are_the_frames():
    histogram = counted(at_random(400, images=5))
    frame = histogram.frame().set_index(["by", "group"])["ratio"]
    assert np.array_equal(histogram.curve(), frame["all", "all"])
    assert np.array_equal(histogram.curve(level=1), frame["level", "stride 16"])
    assert np.array_equal(histogram.curve(label=2), frame["class", "c"])
    hand = counted(by_hand())
    # On the finest level: class a has a positive and a conflict of 0.5, class c only a conflict.
    assert hand.curve(0, 0)[[49, 50]].tolist() == [1, 0]
    assert np.isnan(hand.curve(0, 2)).all() and np.isnan(hand.curve(1, 0)).all()


def test_at_every_edge_it_equals_direct_counting_and_breakdowns_add_up():
    conflict = at_random(400, images=5)
    discrepancy = conflict.discrepancy[0].double()[conflict.counted].numpy()
    frame = counted(conflict).frame()
    whole = frame[frame["by"] == "all"].set_index("threshold")["conflicts"]
    direct = [int((discrepancy > threshold).sum()) for threshold in whole.index]
    assert whole.tolist() == direct and len(direct) == 101
    for by in ("level", "size", "class"):
        parts = frame[frame["by"] == by].groupby("threshold")["conflicts"].sum()
        assert parts.tolist() == direct, by


def test_streaming_equals_one_shot():
    conflict = at_random(50, images=6)
    streamed = counted(*(part(conflict, slice(i, i + 2)) for i in (0, 2, 4)))
    whole = counted(conflict)
    assert (streamed.counts == whole.counts).all()
    assert (streamed.positives == whole.positives).all()
    assert streamed.images == whole.images == 6


def test_saved_and_taken_up_again(tmp_path):
    first, second = at_random(50, seed=1), at_random(50, seed=2)
    counted(first).save(tmp_path / "counts.npz", "this pair")
    resumed = ConflictHistogram(STRIDES, CLASSES, AREAS)
    resumed.load(tmp_path / "counts.npz", "this pair")
    resumed.add(second)
    assert (resumed.counts == counted(first, second).counts).all()
    assert resumed.images == 2
    assert [p.name for p in tmp_path.iterdir()] == ["counts.npz"]


def test_counts_of_something_else_are_refused(tmp_path):
    file = tmp_path / "counts.npz"
    counted(by_hand()).save(file, "this pair")
    with pytest.raises(LabError, match="counts another pair"):
        ConflictHistogram(STRIDES, CLASSES, AREAS).load(file, "that pair")
    with pytest.raises(LabError, match="counts another pair"):
        ConflictHistogram(STRIDES, CLASSES[:2], AREAS).load(file, "this pair")
    counts = counted(by_hand()).counts
    np.savez(file, counts=counts, identity="this pair")
    with pytest.raises(LabError, match="cannot be read .*positives"):
        ConflictHistogram(STRIDES, CLASSES, AREAS).load(file, "this pair")
    file.write_bytes(b"half a file")
    with pytest.raises(LabError, match="cannot be read"):
        ConflictHistogram(STRIDES, CLASSES, AREAS).load(file, "this pair")
