"""The plan's rows against sums done by hand."""

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.forecast import Link, Work, outlook, paper_gpu_hours

LINK = Link(bandwidth=1e10, between=1e10, latency=0.0, overlap=0.5, machine=8)


def test_hours_efficiency_and_cost(measured):
    frame = outlook(measured(), LINK, price=2.0).set_index("gpus")
    assert list(frame.index) == [1, 2, 4, 8, 16, 32, 64]
    one, four = frame.loc[1], frame.loc[4]
    assert one["seconds"] == 0.2 and one["efficiency"] == 1
    assert one["hours"] == pytest.approx(12 * 58_633 * 0.2 / 3600)
    # 0.15 s on the wire, half of it hidden: 0.275 s a step, four times as many images
    assert four["seconds"] == pytest.approx(0.275)
    assert four["efficiency"] == pytest.approx(0.2 / 0.275)
    assert four["steps"] == 12 * 14_659 and four["images"] == 8
    assert four["hours"] == pytest.approx(12 * 14_659 * 0.275 / 3600)
    assert four["gpu_hours"] == pytest.approx(4 * four["hours"])
    assert four["cost"] == pytest.approx(2 * four["gpu_hours"])
    assert (frame.loc[8, "rate"], frame.loc[64, "rate"]) == (0.01, 0.08)
    assert (frame.loc[8, "machines"], frame.loc[64, "machines"]) == (1, 8)


def test_the_gradients_lie_in_their_buckets_once_more(measured):
    memory = outlook(measured(), LINK)["memory"]
    assert memory.tolist() == [8e9] + [9e9] * 6


def test_without_a_price_no_cost(measured):
    assert "cost" not in outlook(measured(), LINK)
    with pytest.raises(LabError, match="--price"):
        outlook(measured(), LINK, price=-1)


def test_a_step_of_unknown_backward_hides_by_the_share_alone(measured):
    slow = Link(bandwidth=1e9, between=1e9, latency=0.0, overlap=0.5)
    known, unknown = (outlook(measured(backward=b), slow, gpus=[4]) for b in (0.12, None))
    assert known["seconds"].item() == pytest.approx(0.2 + 1.5 - 0.12)
    assert unknown["seconds"].item() == pytest.approx(0.2 + 0.75)


def test_a_recipe_that_counts_steps_sees_more_images_instead(measured):
    frame = outlook(measured(work=Work(batch=16, rate=0.02, base_batch=16, steps=1500)), LINK)
    assert set(frame["steps"]) == {1500}
    assert frame["hours"].is_monotonic_increasing


def test_gpu_hours_as_the_paper_ran_it(measured):
    """16 images a step at two a GPU are eight GPUs; the set is COCO, whatever was planned last."""
    frame = outlook(measured(), gpus=[8])
    other = measured(work=Work(batch=2, rate=0.01, base_batch=16, images=100, epochs=12))
    assert paper_gpu_hours(other, 16) == pytest.approx(frame["gpu_hours"].item())
