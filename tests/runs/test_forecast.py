"""Measurements kept and found again; communication and plans against sums done by hand."""

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.forecast import (
    Link,
    Measurement,
    Work,
    bucket_count,
    exposed_seconds,
    newest,
    outlook,
    paper_gpu_hours,
    ring_seconds,
)


def test_the_length_of_a_run_as_mmdets_logs_have_it():
    """COCO's 117,266 images with boxes, by 16, are the 7,330 steps an epoch of every 1x log."""
    work = Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12)
    assert work.length(8) == 12 * 7330
    assert (work.rate_at(8), work.rate_at(1), work.rate_at(64)) == (0.01, 0.00125, 0.08)


def test_a_recipe_that_counts_steps_keeps_them():
    work = Work(batch=16, rate=0.02, steps=1500)
    assert [work.length(n) for n in (1, 8)] == [1500, 1500]
    assert work.rate_at(8) == 0.02


def test_it_is_read_as_it_was_written(measured, tmp_path):
    one = measured(settings={"schedule.batch": 4})
    path = one.write(tmp_path)
    assert Measurement.read(path) == one
    assert path.name.startswith("paper-table5_crosskd-") and path.name.endswith(".round-gpu.json")


def test_the_newest_of_its_kind_is_found(measured, tmp_path):
    measured().write(tmp_path)
    measured(date="2026-02-01T00:00:00+00:00", device="Other GPU", step=0.1).write(tmp_path)
    measured(date="2026-03-01T00:00:00+00:00", device="A CPU", gpu=False).write(tmp_path)
    measured(date="2026-04-01T00:00:00+00:00", settings={"tap": "pre_relu"}).write(tmp_path)
    name = "paper/table5_crosskd"
    assert newest(name, folder=tmp_path).device == "Other GPU"
    assert newest(name, device="A CPU", folder=tmp_path).date.startswith("2026-03")
    assert newest(name, device="Round GPU", folder=tmp_path).settings == {}
    assert newest(name, {"tap": "pre_relu"}, folder=tmp_path).date.startswith("2026-04")
    assert newest("paper/table1_i3", folder=tmp_path) is None
    assert newest(name, folder=tmp_path / "nowhere") is None


def test_measured_again_replaces(measured, tmp_path):
    assert measured().write(tmp_path) == measured(step=0.3).write(tmp_path)
    assert newest("paper/table5_crosskd", folder=tmp_path).step == 0.3


def test_what_is_no_measurement_is_named(tmp_path):
    with pytest.raises(
        LabError, match=r"gone.json cannot be read \(No such file.*\): 'crosskd-lab plan' makes one"
    ):
        Measurement.read(tmp_path / "gone.json")
    for text in ("{", "[]", '{"work": {"colour": "red"}}', "{}"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(LabError, match="bad.json is (no measured step|broken)"):
            Measurement.read(tmp_path / "bad.json")


G, B = 1e9, 1e10  # bytes of gradients; bytes a second


def test_a_ring_of_four():
    # 2 * 3/4 * 0.1 s on the wire, and ten buckets of a millisecond
    assert ring_seconds(G, 4, B, 10, 1e-3) == pytest.approx(0.15 + 0.01)


def test_one_gpu_tells_nobody():
    assert ring_seconds(G, 1, B, 10, 1e-3) == 0


def test_a_long_ring_sends_everything_twice():
    assert ring_seconds(G, 10**6, B, 0, 0) == pytest.approx(2 * G / B, rel=1e-5)


def test_half_of_it_is_hidden():
    assert 0.2 + exposed_seconds(0.16, 0.5) == pytest.approx(0.28)
    assert exposed_seconds(0.16, 0) == 0.16
    assert exposed_seconds(0.16, 1) == 0


def test_a_backward_hides_no_more_than_itself():
    assert exposed_seconds(0.16, 1, backward=0.06) == pytest.approx(0.10)
    assert exposed_seconds(0.16, 0.5, backward=0.12) == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("mebibytes", "buckets"), [(0.5, 1), (1, 1), (1.5, 2), (26, 2), (26.5, 3), (126, 6)]
)
def test_buckets_are_a_small_one_and_then_25_mebibytes_each(mebibytes, buckets):
    assert bucket_count(mebibytes * 2**20) == buckets


def test_a_ring_is_as_fast_as_its_slowest_link():
    link = Link(bandwidth=20e9, between=5e9, machine=8)
    assert [link.slowest(n) for n in (1, 8, 16)] == [20e9, 20e9, 5e9]
    assert Link(bandwidth=1e9, between=5e9).slowest(64) == 1e9


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(overlap=1.5), "--overlap is a share from 0 to 1, got 1.5"),
        (dict(bandwidth=0.0), "--bandwidth and --between must be positive"),
        (dict(latency=-1.0), "--latency at least 0"),
        (dict(machine=0), "--machine must be at least 1"),
    ],
)
def test_what_no_machine_has_is_refused(wrong, says):
    with pytest.raises(LabError, match=says):
        Link(**wrong)


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
