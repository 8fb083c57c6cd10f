"""A run is a folder whose record can be cited, compared and resumed; its rows survive kills."""

import json
import os
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from crosskd_lab.engine import record
from crosskd_lab.engine.record import METRICS, append_metrics, read_metrics, trim_metrics
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT

CONFIG = "methods = [dict(type='CrossKD', i=3)]  # the text as used\n"


def arguments(**changes):
    given = {
        "command": ["crosskd-lab", "train", str(PROJECT / "configs/pocket/student.py")],
        "config": CONFIG,
        "seed": 0,
        "data": {"path": PROJECT / "data/scenes", "checksum": "abc"},
        "teacher": {"name": str(PROJECT / "data/teachers/r18-w32"), "sha256": "def"},
        "methods": [{"type": "crosskd_lab.methods.CrossKD", "i": 3}],
    }
    return {**given, **changes}


def test_a_started_run(tmp_path):
    folder = tmp_path / "deep" / "run"
    record.start_record(folder, **arguments(extra={"gpus": ["H200"]}))
    assert sorted(path.name for path in folder.iterdir()) == ["config.py", "record.json"]
    assert (folder / "config.py").read_text() == CONFIG
    found = record.read_record(folder)
    assert found == json.loads((folder / "record.json").read_text())
    assert (found["schema"], found["status"], found["seed"]) == (1, "running", 0)
    assert found["command"] == ["crosskd-lab", "train", "configs/pocket/student.py"]
    assert found["data"] == {"path": "data/scenes", "checksum": "abc"}
    assert found["teacher"] == {"name": "data/teachers/r18-w32", "sha256": "def"}
    assert found["methods"] == [{"type": "crosskd_lab.methods.CrossKD", "i": 3}]
    assert found["extra"] == {"gpus": ["H200"]}
    assert {"commit", "dirty", "reason"} == set(found["git"])
    assert {"python", "torch", "mmdet", "mmengine", "mmcv-lite", "numpy"} <= set(found["versions"])
    assert {"cpu", "cores", "memory_gib", "platform"} == set(found["machine"])
    created = datetime.fromisoformat(found["created"].replace("Z", "+00:00"))  # for Python 3.10
    age = datetime.now(timezone.utc) - created
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_paths_and_numpys_numbers_become_plain(tmp_path):
    methods = [{"type": "PKD", "weight": np.float32(0.5)}]
    record.start_record(tmp_path, **arguments(methods=methods, extra={"at": tmp_path}))
    found = record.read_record(tmp_path)
    assert found["methods"] == [{"type": "PKD", "weight": 0.5}]
    assert found["extra"]["at"] == tmp_path.as_posix()


def test_a_taken_folder_is_refused_and_left_alone(tmp_path):
    record.start_record(tmp_path, **arguments())
    before = (tmp_path / "record.json").read_bytes()
    with pytest.raises(LabError, match="holds a run already"):
        record.start_record(tmp_path, **arguments(seed=1))
    assert (tmp_path / "record.json").read_bytes() == before


def test_finish_and_resume(tmp_path):
    record.start_record(tmp_path, **arguments())
    created = record.read_record(tmp_path)["created"]
    record.finish_record(tmp_path, "stopped", {"AP": 20.0}, "stopped by the user at step 7")
    stopped = record.read_record(tmp_path)
    assert (stopped["status"], stopped["results"]) == ("stopped", {"AP": 20.0})
    assert stopped["reason"] == "stopped by the user at step 7"

    record.start_record(tmp_path, **arguments(command=["again"], resume=True))
    resumed = record.read_record(tmp_path)
    assert (resumed["status"], resumed["created"]) == ("running", created)
    assert "results" not in resumed and "reason" not in resumed and "finished" not in resumed
    assert [entry["command"] for entry in resumed["resumed"]] == [["again"]]

    record.finish_record(tmp_path, "done", {"AP": np.float64(25.5)})
    done = record.read_record(tmp_path)
    assert (done["status"], done["results"]) == ("done", {"AP": 25.5})


@pytest.mark.parametrize(
    "change, word",
    [
        ({"config": CONFIG + "a = dict(b=[2])"}, "otherwise: a.b.0 was None, now 2: say"),
        ({"seed": 1}, "otherwise: seed was 0, now 1: say"),
        ({"data": {"path": "elsewhere", "checksum": "x"}}, "data .checksum. was 'abc', now 'x'"),
        ({"teacher": None, "seed": 1}, "seed was 0, now 1; teacher .sha256. was 'def', now None"),
    ],
)
def test_only_the_same_run_can_be_resumed(tmp_path, change, word):
    record.start_record(tmp_path, **arguments())
    with pytest.raises(LabError, match=word):
        record.start_record(tmp_path, **arguments(resume=True, **change))


def test_moved_data_may_be_resumed(tmp_path):
    record.start_record(tmp_path, **arguments())
    moved = {"path": "elsewhere", "checksum": "abc"}
    record.start_record(tmp_path, **arguments(resume=True, data=moved))
    assert record.read_record(tmp_path)["status"] == "running"


def test_a_place_in_the_project_is_the_same_from_any_folder(tmp_path):
    """Relative where one stands in the project, absolute from elsewhere."""
    said, whole = (f"data = dict(root='{at}/set')\n" for at in ("data", PROJECT / "data"))
    record.start_record(tmp_path, **arguments(config=said))
    record.start_record(tmp_path, **arguments(config=whole, resume=True))
    with pytest.raises(LabError, match="data.root was 'data/set', now '/data/set'"):
        record.start_record(
            tmp_path, **arguments(config="data = dict(root='/data/set')", resume=True)
        )


def test_what_lies_below_the_data_by_its_name_alone_has_not_moved(tmp_path):
    """mmdet's base configs name data/coco, whatever set is read."""
    stock, at = "data_root = 'data/coco/'\n", "root = {!r}\n"
    data = {"path": "data/coco", "checksum": "abc"}
    record.start_record(tmp_path, **arguments(config=stock + at.format("data/coco"), data=data))
    data["path"] = "/new/coco"
    text = stock + at.format("/new/coco")
    record.start_record(tmp_path, **arguments(config=text, data=data, resume=True))
    assert (tmp_path / "config.py").read_text() == text


def test_what_is_no_run_is_told(tmp_path):
    for ask in (record.read_record, lambda at: record.start_record(at, **arguments(resume=True))):
        with pytest.raises(LabError, match=r"is no run: it has no record\.json"):
            ask(tmp_path)
    with pytest.raises(LabError, match="there is no run"):
        read_metrics(tmp_path / "missing")
    assert read_metrics(tmp_path).empty
    assert record.find_runs(tmp_path) == record.find_runs(tmp_path / "missing") == []
    assert record.runs_frame(tmp_path).empty


@pytest.mark.parametrize(
    "text, word",
    [
        ("{", "is broken"),
        ("[]", "is broken"),
        ('{"schema": 99}', "is not of schema 1"),
        ('{"schema": 1}', "is broken .a part of it is missing.: restore it"),
    ],
)
def test_a_record_that_cannot_be_read(tmp_path, text, word):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(LabError, match=word):
        record.read_record(tmp_path)


@pytest.mark.parametrize(
    "types, name",
    [
        ([], "none"),
        (["crosskd_lab.methods.crosskd.PredictionMimicking"], "KD"),
        (["CrossKD", "crosskd_lab.methods.PKD"], "CrossKD+PKD"),
    ],
)
def test_method_names(types, name):
    assert record.method_name([{"type": one} for one in types]) == name


def test_runs_become_rows(tmp_path):
    first, second = tmp_path / "race" / "crosskd-0", tmp_path / "race" / "none-1"
    record.start_record(first, **arguments(extra={"steps": 375, "gpus": ["H200"]}))
    record.finish_record(first, "done", {"AP": 26.0})
    record.start_record(second, **arguments(methods=None, teacher=None, seed=1))
    (tmp_path / "not-a-run").mkdir()
    assert record.find_runs(tmp_path) == [first, second]
    frame = record.runs_frame(tmp_path)
    assert list(frame["run"]) == ["race/crosskd-0", "race/none-1"]
    assert list(frame["method"]) == ["CrossKD", "none"]
    assert list(frame["options"]) == ["CrossKD(i=3)", ""]
    assert list(frame["status"]) == ["done", "running"]
    assert frame.loc[0, "AP"] == 26.0 and frame.loc[0, "steps"] == 375
    assert np.isnan(frame.loc[1, "AP"])
    assert "gpus" not in frame


def test_a_broken_record_hides_no_other(tmp_path, capsys):
    record.start_record(tmp_path / "a", **arguments())
    whole = (tmp_path / "a/record.json").read_text()
    broken = {
        "b": "{",
        "c": '{"schema": 1}',
        "d": whole.replace('"methods": [', '"methods": [3, '),
        "e": whole.replace('"data": {', '"data": 3, "date": {'),
        "f": whole.replace('"extra"', '"results": {"AP": "high"}, "extra"'),
        "g": "\ufeff" + whole,
    }
    for name, text in broken.items():
        assert text != whole
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text, encoding="utf-8")
    (tmp_path / "h/record.json").mkdir(parents=True)
    (tmp_path / "i").mkdir()
    os.mkfifo(tmp_path / "i/record.json")
    frame = record.runs_frame(tmp_path)
    assert frame["run"].tolist() == list("abcdefghi")
    states = ["running", *["broken"] * 5, "running", *["broken"] * 2]
    assert frame["status"].tolist() == states
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 7 and all(line.startswith("crosskd-lab: ") for line in told)


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


def test_what_is_no_number_is_not_written(tmp_path):
    with pytest.raises(LabError, match="metric 'loss' is nan: give a finite number"):
        append_metrics(tmp_path, {"step": 1, "loss": float("nan")})
    assert not (tmp_path / METRICS).exists()


@pytest.mark.parametrize("cut", ['{"st', '{"step": 2, "note": "a}', '{"step": 2,'])
def test_a_line_cut_by_a_kill_is_left_out_and_then_stands_alone(tmp_path, cut):
    (tmp_path / METRICS).write_text('{"step": 1}\n' + cut)
    assert list(read_metrics(tmp_path)["step"]) == [1]
    append_metrics(tmp_path, {"step": 3})
    assert list(read_metrics(tmp_path)["step"]) == [1, 3]
    trim_metrics(tmp_path, 3)
    assert lines(tmp_path) == ['{"step": 1}', '{"step": 3}']


@pytest.mark.parametrize(
    "middle",
    [
        *(b'{"step": 1', b'{"loss": 1}', b"[1]", b"", b"\xff\xfe", b'{"step": 1}{"st', b"[" * 9999),
        *(b'{"step": "1"}', b'{"step": 1, "AP": "high"}', b'{"step": 1, "loss": NaN}'),
        *(b'{"step": 1' + b"0" * 400 + b"}", b'{"step": 1, "loss": 1e400}'),
    ],
    ids=range(12),
)
def test_a_broken_line_is_told_and_hides_no_other(tmp_path, capsys, middle):
    (tmp_path / METRICS).write_bytes(b'{"step": 0}\n' + middle + b'\n{"step": 2}')
    assert list(read_metrics(tmp_path)["step"]) == [0, 2]
    told = capsys.readouterr().err
    assert f"{METRICS}, line 2 is no row with a step: it is passed over" in told
    append_metrics(tmp_path, {"step": 3})
    assert list(read_metrics(tmp_path)["step"]) == [0, 2, 3]
    assert capsys.readouterr().err == "", "once is enough"


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
