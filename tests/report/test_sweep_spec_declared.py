"""Declared sweeps: every row of every one can be built, and a record finds its row again."""

import json
import multiprocessing

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import append_line
from crosskd_lab.report.sweep_spec import Row, Sweep, latest, read_lines, read_sweep, sweeps


def test_the_declared_sweeps_cover_the_tables():
    found = {read_sweep(name).table: read_sweep(name) for name in sweeps()}
    assert set(found) >= {None, *range(1, 9)}
    assert [row.name for row in found[1].rows] == [
        "none",
        "kd",
        *(f"crosskd_{i}" for i in range(5)),
    ]
    assert all(len(found[number].seeds) >= 3 and found[number].title for number in range(1, 9))


@pytest.mark.parametrize("name", sweeps())
def test_every_row_is_an_experiment(name, scenes_dir):
    from crosskd_lab.configs import read_config
    from crosskd_lab.engine.config import load_experiment

    built = {}
    for row in read_sweep(name).rows:
        settings = {**row.settings, "teacher.checkpoint": "random"}
        cfg = load_experiment(row.config, settings, scenes_dir)
        assert cfg.train_cfg.max_iters == row.settings["schedule.steps"]
        own = read_config(row.config).get("teacher", {}).get("checkpoint")
        teacher = row.settings.get("teacher.checkpoint", own)
        model = json.dumps(cfg.model.to_dict(), sort_keys=True, default=str)
        built[row.name] = model, teacher
    assert len(set(built.values())) == len(built), "two rows of a table are the same experiment"


def test_rows_declared_alike_are_one():
    one = {row.name: row.key for row in read_sweep("table1").rows}
    four = {row.name: row.key for row in read_sweep("table4").rows}
    assert (one["none"], one["kd"], one["crosskd_3"]) == (four["none"], four["kd"], four["crosskd"])
    slow = {row.name: row.key for row in read_sweep("regime").rows}
    assert slow["none"] != one["none"] and len(set(one.values())) == len(one)


def test_a_key_is_of_config_and_settings_alone():
    row = Row("a", "pocket/kd", {"x": 1, "y": (2, 3)})
    assert row.key == Row("b", "pocket/kd", {"y": [2, 3], "x": 1}).key
    assert row.key != Row("a", "pocket/kd", {"x": 1, "y": (2, 4)}).key


def test_all_rows_of_a_seed_come_before_the_next_seed():
    sweep = Sweep("s", "", None, (Row("a", "c", {}), Row("b", "c", {"x": 1})), (0, 1))
    named = [(row.name, seed) for row, seed in sweep.plan()]
    assert named == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [(row.name, seed) for row, seed in sweep.plan(["b"], [5])] == [("b", 5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows = {}", "declares no rows"),
        ("rows = {'a': ('c', {})}\nregime = 'eternal'", "'eternal' is unknown: choose from fast"),
        ("rows = {'a': 'pocket/kd'}", "say rows = {name: .config, settings.} and seeds = "),
        ("rows = ['a']", "say rows = {name: .config, settings.} and seeds = "),
        ("rows = {'a': ('c', {})}\nseeds = 3", "say rows = .* and seeds = .0, 1, 2."),
        ("import sys\nsys.exit(3)", "mine.py cannot be read .SystemExit: 3"),
        ("rows = {'a': ('c', {)}", "mine.py cannot be read .SyntaxError: "),
    ],
)
def test_a_file_that_declares_nothing_sound_is_refused(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(LabError, match=said):
        read_sweep(tmp_path / "mine.py")


def test_an_unknown_sweep_lists_what_there_is():
    with pytest.raises(LabError, match="no sweep 'table9': choose from .*fine_print, .*table1"):
        read_sweep("table9")


def _append(path):
    for number in range(50):
        line = {"key": "k", "seed": number, "status": "done", "filling": "x" * 5000}
        append_line(path, line)


def test_lines_of_two_processes_do_not_mix(tmp_path):
    path = tmp_path / "recorded" / "s.jsonl"
    workers = [multiprocessing.Process(target=_append, args=(path,)) for _ in range(2)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    lines = read_lines(path.parent)
    assert len(lines) == 100 and {line["sweep"] for line in lines} == {"s"}
    assert read_lines(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "bad",
    [
        '{"key": "k", "se',
        "[1]",
        '{"key": "k"}',
        "\x00\ufffd",
    ],
)
def test_a_broken_line_hides_no_other(tmp_path, capsys, bad):
    path = tmp_path / "s.jsonl"
    append_line(path, {"key": "a", "seed": 0, "status": "done"})
    with path.open("a") as file:
        file.write(bad)  # and no end of line, as a full disk leaves it
    append_line(path, {"key": "b", "seed": 0, "status": "done"})
    assert [line["key"] for line in read_lines(tmp_path)] == ["a", "b"]
    assert f"{path}, line 2 is no record (" in (said := capsys.readouterr().err)
    assert said.endswith("): it is passed over\n") and said.count("\n") == 1


def test_a_file_of_records_that_is_none_hides_no_other(tmp_path, capsys):
    append_line(tmp_path / "b.jsonl", {"key": "b", "seed": 0, "status": "done"})
    (tmp_path / "a.jsonl").mkdir()
    assert [line["key"] for line in read_lines(tmp_path)] == ["b"]
    (told,) = capsys.readouterr().err.splitlines()
    assert "a.jsonl cannot be read" in told


def test_the_record_that_counts_is_the_last_that_is_done():
    said = ["failed", "done", "failed", "done"]
    lines = [{"key": "k", "seed": 0, "status": s, "at": n} for n, s in enumerate(said)]
    assert latest(lines)["k", 0]["at"] == 3
    assert latest(lines[:3])["k", 0]["at"] == 1
    assert latest(lines[:1])["k", 0]["at"] == 0


def test_superseded_lines_stay_and_count_no_more(tmp_path):
    about = {"row": "gid", "key": "k", "status": "done"}
    for seed, date in ((0, "2026-11-21T10:00:00Z"), (1, "2026-11-21T11:00:00Z"), (0, "2026-12-01")):
        append_line(tmp_path / "table5.jsonl", {**about, "seed": seed, "date": date})
    entry = {"sweep": "table5", "row": "gid", "before": "2026-11-22", "reason": "other places"}
    (tmp_path / "superseded.json").write_text(json.dumps([entry]))
    lines = read_lines(tmp_path)
    assert [line.get("superseded", {}).get("reason") for line in lines] == ["other places"] * 2 + [
        None
    ]
    assert list(latest(lines)) == [("k", 0)] and latest(lines)["k", 0]["date"] == "2026-12-01"
    (tmp_path / "superseded.json").write_text(json.dumps([{**entry, "row": "gdi"}]))
    with pytest.raises(LabError, match="nothing of table5, row 'gdi', is older than 2026-11-22"):
        read_lines(tmp_path)


def test_every_shipped_record_says_what_it_was_made_by():
    lines = read_lines()
    for line in lines:
        said = f"crosskd-lab sweep {line['sweep']} --only {line['row']} --seeds {line['seed']}"
        assert " ".join(line["command"]) == said and line["git"]["commit"]
    unknown = [line for line in lines if line.get("resumed") and "commits" not in line]
    assert len(unknown) == 7, "docs/regime.md says how many"


def test_every_sweep_has_a_slow_form_whose_rows_are_the_regimes():
    slow, regime = read_sweep("table4_slow"), read_sweep("regime")
    assert [row.name for row in slow.rows] == [row.name for row in read_sweep("table4").rows]
    assert {row.settings["schedule.steps"] for row in slow.rows} == {1500}
    known = {row.key for row in regime.rows}
    own = [row.name for row in slow.rows if row.key not in known]
    assert own == ["crosskd_kd", "crosskd_double", "kd_double"]
