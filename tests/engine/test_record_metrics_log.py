"""Rows of metrics survive kills and resumes."""

import json

import numpy as np
import pytest

from crosskd_lab.engine.record import METRICS, append_metrics, read_metrics, trim_metrics
from crosskd_lab.errors import LabError


def lines(folder):
    return (folder / METRICS).read_text().splitlines()


def test_rows_come_back_as_written(tmp_path):
    append_metrics(tmp_path, {"step": 1, "loss": 2.5})
    append_metrics(tmp_path, {"step": np.int64(2), "AP": np.float32(0.5), "kind": "é", "APs": None})
    assert lines(tmp_path)[0] == '{"step":1,"loss":2.5}'
    frame = read_metrics(tmp_path)
    assert list(frame["step"]) == [1, 2]
    assert frame.loc[1, "AP"] == 0.5
    assert frame.loc[1, "kind"] == "é"
    assert frame["loss"].isna().tolist() == [False, True]


def test_an_empty_run_has_an_empty_frame(tmp_path):
    assert read_metrics(tmp_path).empty


@pytest.mark.parametrize(
    "row, word",
    [
        ({"step": 1, "loss": float("nan")}, "'loss' is nan"),
        ({"step": 1, "loss": float("-inf")}, "'loss' is -inf"),
        ({"step": 1, "loss": [1.0]}, "finite number or None"),
        ({"step": 1, "AP": "high"}, "finite number or None"),
        ({"step": 1, "loss": np.ones(1)}, "'loss'"),
        ({"loss": 1.0}, "integer 'step', got None"),
        ({"step": 1.5}, "integer 'step', got 1.5"),
    ],
)
def test_what_is_no_row_is_refused_and_not_written(tmp_path, row, word):
    with pytest.raises(LabError, match=word.replace("[", r"\[")):
        append_metrics(tmp_path, row)
    assert not (tmp_path / METRICS).exists()


@pytest.mark.parametrize("cut", ['{"st', '{"step": 2, "note": "a}', '{"step": 2,'])
def test_a_line_cut_by_a_kill_is_left_out_and_then_stands_alone(tmp_path, cut):
    (tmp_path / METRICS).write_text('{"step": 1}\n' + cut)
    assert list(read_metrics(tmp_path)["step"]) == [1]
    append_metrics(tmp_path, {"step": 3})
    assert list(read_metrics(tmp_path)["step"]) == [1, 3]
    trim_metrics(tmp_path, 3)
    assert lines(tmp_path) == ['{"step": 1}', '{"step": 3}']


def test_a_line_that_lacks_only_its_end_of_line_is_kept(tmp_path):
    (tmp_path / METRICS).write_text('{"step": 1}\n{"step": 2}')
    assert list(read_metrics(tmp_path)["step"]) == [1, 2]
    append_metrics(tmp_path, {"step": 3})
    assert [json.loads(line)["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_a_cut_first_line_hides_no_row(tmp_path):
    (tmp_path / METRICS).write_text('{"ste')
    append_metrics(tmp_path, {"step": 1})
    assert list(read_metrics(tmp_path)["step"]) == [1]


@pytest.mark.parametrize(
    "middle",
    [
        *('{"step": 1', '{"loss": 1}', "[1]", "", "\x00", "[" * 9999, '{"step": "1"}'),
        '{"step": 1, "AP": "high"}',
        *('{"step": 1, "loss": NaN}', '{"step": 1, "loss": [2]}', '{"step": 1e400}'),
        *(f'{{"step": 1{"0" * 400}}}', f'{{"step": 1, "loss": 1{"0" * 400}}}', '{"step": 1}{"st'),
    ],
)
def test_a_broken_line_is_told_and_hides_no_other(tmp_path, capsys, middle):
    (tmp_path / METRICS).write_text('{"step": 0}\n' + middle + '\n{"step": 2}\n')
    assert list(read_metrics(tmp_path)["step"]) == [0, 2]
    told = capsys.readouterr().err
    assert f"{METRICS}, line 2 is no row with a step: it is passed over" in told
    read_metrics(tmp_path)
    assert capsys.readouterr().err == "", "once is enough"


def test_bytes_that_are_no_text_hide_no_row(tmp_path):
    (tmp_path / METRICS).write_bytes(b'{"step": 0}\n\xff\xfe\n{"step": 2}\n{"st\xff')
    assert list(read_metrics(tmp_path)["step"]) == [0, 2]
    append_metrics(tmp_path, {"step": 3})
    assert list(read_metrics(tmp_path)["step"]) == [0, 2, 3]


def test_of_two_writers_rows_the_later_of_a_step_counts(tmp_path):
    """A run at step 3 and its twin, resumed from step 1, wrote by turns."""
    written = [(1, "train"), (2, "train"), (2, "val"), (3, "train"), (2, "train"), (4, "train")]
    for number, (step, kind) in enumerate([*written, (2, "val"), (3, "train"), (4, "train")]):
        append_metrics(tmp_path, {"step": step, "kind": kind, "loss": number})
    frame = read_metrics(tmp_path)
    kept = [tuple(row) for row in frame[["step", "kind", "loss"]].itertuples(index=False)]
    assert kept == [
        *((1, "train", 0), (2, "train", 4), (2, "val", 6), (3, "train", 7), (4, "train", 8))
    ]


def test_trim_drops_the_rows_beyond_a_step(tmp_path):
    for step in (10, 20, 30):
        append_metrics(tmp_path, {"step": step, "loss": step / 10})
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 4')
    trim_metrics(tmp_path, 20)
    assert lines(tmp_path) == [
        '{"step": 10, "loss": 1.0}',
        '{"step": 20, "loss": 2.0}',
    ]
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_trim_before_any_row_does_nothing(tmp_path):
    trim_metrics(tmp_path, 0)
    assert not (tmp_path / METRICS).exists()


def test_no_run(tmp_path):
    with pytest.raises(LabError, match="there is no run"):
        read_metrics(tmp_path / "missing")
