"""Notebook 12's drawings, maps and words."""

from __future__ import annotations

import pytest
import torch

from crosskd_lab.notebook.other_heads import (
    attention_frames,
    check_best,
    decoder_delivery,
    recorded_rows,
    roi_delivery,
    roi_frames,
    tell_recorded,
    two_detectors,
)
from crosskd_lab.report.sweep_spec import append_line, read_sweep


@pytest.fixture(scope="module")
def faster(tiny_scenes):
    return two_detectors("faster", "smoke", tiny_scenes)


@pytest.fixture(scope="module")
def deformable(tiny_scenes):
    return two_detectors("deformable", "smoke", tiny_scenes)


def test_the_teacher_is_named(tiny_scenes, capsys):
    two_detectors("deformable", "smoke", tiny_scenes)
    said = capsys.readouterr()
    assert "DeformableDETR: teacher deformable_r18_w32; student 4 steps" in said.out
    assert not said.err


def test_a_picture_of_the_delivery_for_every_layer(faster):
    frames = roi_delivery(faster.pair)
    assert list(frames.pictures) == [0, 1, 2] and frames.control.value == 0
    assert len(set(frames.pictures.values())) == 3


def test_a_row_of_maps_an_image(faster, capsys):
    frames = roi_frames(faster, 2)
    assert list(frames.pictures) == [0, 1] and len(set(frames.pictures.values())) == 2
    assert not faster.pair.student.training, "the student is as it was"
    assert not capsys.readouterr().err


def test_both_deliveries_at_every_layer(deformable):
    menus = decoder_delivery(deformable.pair)
    assert set(menus.pictures) == {(w, i) for w in ("memory", "query") for i in range(3)}
    assert len(set(menus.pictures.values())) == 6


def test_a_picture_a_decoder_layer(deformable):
    frames = attention_frames(deformable)
    assert list(frames.pictures) == [1, 2, 3] and len(set(frames.pictures.values())) == 3


def record(folder, aps):
    rows = {row.name: row for row in read_sweep("beyond").rows}
    for row, values in aps.items():
        for seed, ap in enumerate(values):
            line = {"row": row, "key": rows[row].key, "seed": seed, "status": "done"}
            append_line(folder / "beyond.jsonl", line | {"AP": ap, "method": []})


def test_words_follow_the_records(tmp_path):
    said = tell_recorded(tmp_path)
    assert said.count("no common seed is recorded yet") == 4
    record(tmp_path, {"faster_none": (10, 12), "faster_kd": (14.5, 17), "faster_crosskd": (14, 16)})
    record(tmp_path, {"deformable_none": (10,), "deformable_crosskd": (9,)})
    above, below, alone, missing = tell_recorded(tmp_path).splitlines()
    told = "CrossKD against no teacher: **+4.0 ± <0.6 AP** over 2 seeds, above."
    assert above == f"- Faster R-CNN, {told}"
    # differences -0.5 and -1: sd 0.354, t = 12.7, half 0.25 * 12.7
    assert "plain mimicking: **-0.8 ± 3.2 AP** over 2 seeds, below, but the interval" in below
    assert "Deformable DETR" in alone and "**-1.0 AP** over one seed, below; one seed" in alone
    assert "plain mimicking: no common seed" in missing
    table = recorded_rows(tmp_path)
    assert table.loc["faster_crosskd", "mean"] == 15 and table.loc["faster_crosskd", "n"] == 2
    assert table.loc["faster_crosskd", "to_kd"] == -0.75
    assert table.loc["faster_crosskd_1", "n"] == 0


def right(deltas, teacher_deltas, logits):
    gap = (deltas - teacher_deltas).abs().mean(-1)
    return gap.gather(1, logits[:, :-1].argmax(-1, keepdim=True))[:, 0]


@pytest.mark.parametrize(
    ("best", "said"),
    [
        (right, "Right: "),
        (lambda s, t, z: (s - t).abs().mean(-1)[:, 0], "surest of it gives [1.0, 4.0], not [2, 4]"),
        (lambda s, t, z: (s - t).abs().mean((1, 2)), "it gives"),
        (
            lambda s, t, z: right(s, t, torch.cat([z.argmax(-1, True).clamp(max=1) * z, z], 1)),
            "Not yet",
        ),
        (lambda s, t, z: (s - t).abs().mean(-1).gather(1, z.argmax(-1, True))[:, 0], "raised"),
    ],
)
def test_the_judge_of_the_best_class(best, said):
    assert said in check_best(best)
