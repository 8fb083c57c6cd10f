"""docs/regime.md says what the records say."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.configs import TEACHERS
from crosskd_lab.report.page import sweep_table
from crosskd_lab.report.results import compare_rows, measured_rows, measured_runs, paper_table
from crosskd_lab.report.stats import STRAY, half_width, points
from crosskd_lab.report.sweep_spec import REGIMES, TEST, read_lines, read_sweep, sweeps
from crosskd_lab.runs.race import SCENES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = (ROOT / "docs" / "regime.md").read_text(encoding="utf-8")


def rows(first):
    """Cells of the table rows whose first cell matches."""
    found = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in found]
    return {line[0]: line[1:] for line in cells if re.fullmatch(first, line[0])}


def record(*place):
    return json.loads((ROOT / "data" / Path(*place) / "record.json").read_text())


@pytest.mark.parametrize("name", ["r18_w16", "r18_w32", "mv2_w025"])
def test_backbones(name):
    results = record("backbones", name)["results"]
    said = rows(r"(r18|mv2)_w\d+")[name]
    assert said == [f"{results['accuracy']:.1f}", f"{results['seconds']:.0f}"]


@pytest.mark.parametrize("name", [*rows(r"\w+_r18_w32")])
def test_teachers(name):
    kept = record("teachers", name)
    asked = re.search(r"schedule\.steps=(\d+)", " ".join(kept["command"]))
    steps = asked[1] if asked else "5000"  # the width's own, configs/pocket/parts/w32.py
    fresh = kept["held_out"]
    wanted = [steps, f"{kept['results']['AP']:.1f}", f"{fresh['mean']:.1f}", f"{fresh['sd']:.1f}"]
    assert rows(r"\w+_r18_w32")[name] == wanted


def test_regimes_and_sets():
    there = {path.stem for path in TEACHERS.glob("*.safetensors")}  # perhaps one's own, too
    assert len(rows(r"\w+_r18_w32")) == 12 and set(rows(r"\w+_r18_w32")) <= there
    for name, settings in REGIMES.items():
        section = TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert re.match(rf"\s*{settings['schedule.steps']:,} steps", section)
    assert f"{SCENES['train']:,} scenes, batches of 16" in TEXT
    assert f"{SCENES['val']} scenes; chooses" in TEXT and f"{TEST['test']} scenes of" in TEXT
    assert TEST["seed"] != SCENES["seed"]


def both_regimes():
    """The same three students after few steps and after many, in words, by regime and student."""
    tables = []
    for regime, sweep, names in (
        ("fast", "table1", ["none", "kd", "crosskd_3"]),
        ("slow", "regime", ["none", "kd", "crosskd"]),
    ):
        runs = measured_runs(sweep)
        table = sweep_table(measured_rows(runs[runs["row"].isin(names)]))
        tables.append(table.assign(regime=regime, student=["none", "KD", "CrossKD"]))
    return pd.concat(tables).set_index(["regime", "student"])


@pytest.mark.parametrize("sweep", ["yolox", "yolox_narrow", "yolox_middle", "rtmdet"])
def test_the_page_on_yolo_has_the_recorded_rows(sweep):
    text = (ROOT / "docs" / "yolo.md").read_text(encoding="utf-8")
    kept = sweep_table(measured_rows(measured_runs(sweep)))
    for row in kept[["row", "AP", "to none", "to KD"]].itertuples(index=False):
        assert f"| {' | '.join(row)} |" in text


def test_the_page_on_yolo_has_the_recorded_conflict():
    text = " ".join((ROOT / "docs" / "yolo.md").read_text(encoding="utf-8").split())
    for folder, teacher, said in (
        ("figure3_yolox", "yolox_r18_w32", "at {} locations a positive"),
        ("figure3", "gfl_r18_w32", "GFL's pair has {} there"),
    ):
        kept = pd.read_csv(ROOT / "data" / "recorded" / folder / "conflict.csv")
        kept = kept[(kept["teacher"] == teacher) & (kept["by"] == "all")]
        (ratio,) = kept.loc[(kept["threshold"] - 0.5).abs() < 1e-9, "ratio"]
        assert said.format(f"{ratio:.2f}") in text


def test_both_regimes_are_those_of_the_records():
    lines = [line[2:-2].split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    said = [cells for cells in lines if cells[0] in REGIMES]
    kept = both_regimes().reset_index()
    assert said == kept[["regime", "student", "AP", "to none", "to KD"]].to_numpy().tolist()
    assert kept["AP"].str[-3:].tolist() == ["(3)"] * 3 + ["(5)"] * 3


def test_kind_and_strength_of_a_teacher_are_as_recorded():
    runs = measured_runs("pairs")
    kept = sweep_table(measured_rows(runs)).set_index("row")
    counted = pd.concat(
        [
            pd.read_csv(ROOT / "data" / "recorded" / folder / "conflict.csv")
            for folder in ("figure3", "figure3_early")
        ]
    ).query("by == 'all' and threshold == 0.5")
    ratios = counted.set_index("teacher")["ratio"]
    said = rows("(gfl|atss|retinanet|fcos)(_early)?")
    assert len(said) == len(ratios) == 8
    for kind, cells in said.items():
        name = f"{kind}_r18_w32"
        kd, crosskd = (
            ("kd", "crosskd") if kind == "gfl" else (f"kd_from_{kind}", f"crosskd_from_{kind}")
        )
        taught = [*kept.loc[kd, ["AP", "to none"]], kept.loc[crosskd, "AP"]]
        ap = record("teachers", name)["held_out"]["mean"]
        assert cells == [f"{ap:.1f}", f"{ratios[name]:.2f}", *taught], kind
    kinds = ("gfl", "atss", "retinanet", "fcos")
    above = [compare_rows(runs, "kd_from_gfl_early", f"kd_from_{kind}") for kind in kinds[1:]]
    assert "{}, {} and {} above mimicking the strong ones of ATSS".format(*map(told, above)) in TEXT
    whole, ap = {}, runs.pivot(index="seed", columns="row", values="AP")
    for method in ("kd", "crosskd"):
        strong = [method, *(f"{method}_from_{kind}" for kind in kinds[1:])]
        weak = [f"{method}_from_{kind}_early" for kind in kinds]
        apart = [compare_rows(runs, *pair) for pair in zip(weak, strong, strict=True)]
        assert all(abs(found.difference) < max(found.half_width, STRAY) for found in apart)
        if method == "kd":
            each = "{}, {}, {} and {} from the strong one's".format(*(told(x, "+") for x in apart))
            assert each in TEXT
        mean = ap[weak].mean(axis=1) - ap[strong].mean(axis=1)
        whole[method] = f"{mean.mean():+.1f} ± {half_width(mean):.1f}"
    assert f"over all four {whole['kd']}; by CrossKD {whole['crosskd']}." in TEXT


def test_another_kind_of_teacher_at_length_is_as_recorded():
    runs, kinds = measured_runs("table7_slow"), ("atss", "retinanet")
    ap = runs.pivot(index="seed", columns="row", values="AP").loc[[0, 1, 2]]
    ends = {row: "{:.1f}, {:.1f} and {:.1f}".format(*ap[row]) for row in ap}

    def against(row, other):
        return [compare_rows(runs, row.format(kind), other.format(kind)) for kind in kinds]

    gains = [told(found) for found in against("kd_from_{}", "none")]
    said = [
        f"{ends[f'kd_from_{kind}']}, {gain} above" for kind, gain in zip(kinds, gains, strict=True)
    ]
    assert "ATSS's ends at {} no teacher, RetinaNet's at {},".format(*said) in TEXT
    lags = [-found.difference for found in against("kd_from_{}", "kd")]
    assert "{:.1f} and {:.1f} below mimicking the student's own kind".format(*lags) in TEXT
    assert "have +{} and +{} after 1,500 steps".format(*gains) in TEXT
    crossed = [f"{ends[f'crosskd_from_{kind}']}" for kind in kinds]
    leads = [told(found) for found in against("crosskd_from_{}", "kd_from_{}")]
    assert "CrossKD ends at {} and at {}".format(*crossed) in TEXT
    assert "{} and {} above mimicking the same teacher".format(*leads) in TEXT
    runs = measured_runs("table7")  # of 240 steps
    below = [-found.difference for found in against("kd_from_{}", "none")]
    assert "after 240 steps they were {:.1f} and {:.1f} below".format(*below) in TEXT
    before = [found.difference for found in against("crosskd_from_{}", "kd_from_{}")]
    assert "after 240 steps it was {:.1f} and {:.1f} ahead".format(*before) in TEXT
    for row in (f"{how}_from_{kind}" for how in ("kd", "crosskd") for kind in kinds):
        for taught, alone in zip(done("table7_slow", row), done("regime", "none")[:3], strict=True):
            each = zip(taught["curve"], alone["curve"], strict=True)
            assert min(a["AP"] - b["AP"] for a, b in each) > 0, "behind at no validation"
    pulls = []
    for row in ("crosskd_from_retinanet", "kd_from_retinanet"):
        begin = done("table7_slow", row)[0]["begin"]
        pulls.append(sum(value for name, value in begin.items() if "kd_" in name))
    assert f"{pulls[0] / pulls[1]:.1f} times as large at step 10" in TEXT
    triple = "kd_from_retinanet_triple"
    runs = measured_runs("table7_slow")
    more = told(compare_rows(runs, triple, "kd_from_retinanet"))
    left = compare_rows(runs, "crosskd_from_retinanet", triple)
    assert f"weights ends at {ends[triple]}, {more} above mimicking at its own" in TEXT
    assert f"CrossKD is still {told(left)} ahead of it" in TEXT
    lead = compare_rows(runs, "crosskd_from_retinanet", "kd_from_retinanet").difference
    assert 0.2 < 1 - left.difference / lead < 0.3 and "dose explains a quarter" in TEXT


def test_features_or_predictions_at_length_are_as_recorded():
    runs, fast = measured_runs("table2_slow"), measured_runs("table2")
    ap = runs.pivot(index="seed", columns="row", values="AP").loc[[0, 1, 2]]
    ends = {row: "{:.1f}, {:.1f} and {:.1f}".format(*ap[row]) for row in ap}

    def apart(one, other, of=runs):
        found = compare_rows(of, one, other)
        return points(found.difference, found.half_width)

    assert (
        f"PKD on the neck ends at {ends['pkd_neck']}, at layer 3 of the class tower at "
        f"{ends['pkd_cls']}, of the box tower at {ends['pkd_reg']}, of both at "
        f"{ends['pkd_cls_reg']}."
    ) in TEXT
    towers = ("pkd_cls", "pkd_reg")
    worse = "{} and {} worse than on the neck".format(*(apart("pkd_neck", row) for row in towers))
    assert worse in TEXT
    before = [compare_rows(fast, row, "pkd_neck").difference for row in towers]
    assert "after 240 steps it was {:.1f} and {:.1f} better".format(*before) in TEXT
    paper = paper_table(2).set_index("position")["AP"]
    there = [paper["neck"] - paper[place] for place in ("cls", "reg", "cls+reg")]
    assert "(by {:.1f} and {:.1f} there)".format(*there) in TEXT
    both = apart("pkd_neck", "pkd_cls_reg")
    assert f"not shown to be: {both} ({there[2]:.1f} in the paper)" in TEXT
    leads = "{} and {} above PKD in one tower".format(*(apart("crosskd", row) for row in towers))
    assert f"CrossKD is {leads}" in TEXT
    level = [apart("crosskd", row) for row in ("pkd_cls_reg", "pkd_neck")]
    assert "in both ({}) or on the neck ({})".format(*level) in TEXT
    then = [compare_rows(fast, "crosskd", row).difference for row in ("pkd_cls_reg", "pkd_neck")]
    assert "led by {:.1f} and {:.1f} after 240 steps".format(*then) in TEXT
    far = runs.groupby("row")[["l1_teacher", "l1_truth"]].mean().round(1)
    assert f"({far.loc['pkd_neck', 'l1_teacher']} a positive location on the neck)" in TEXT
    most = far.loc[list(towers), "l1_truth"].max()
    assert f"({far.loc['pkd_neck', 'l1_truth']} there, up to {most} in a tower)" in TEXT
    more, than = apart("crosskd_pkd", "crosskd"), apart("crosskd_pkd", "pkd_neck")
    assert f"together they end at {ends['crosskd_pkd']}, the best" in TEXT
    then = apart("crosskd_pkd", "crosskd", fast)
    added = f"{more} above CrossKD alone and {than} above PKD alone, where after 240 steps it was"
    assert f"{added} {then}." in TEXT
    louder = apart("crosskd_pkd", "crosskd_double")
    assert f"the control of Table 4, ends {louder} below" in TEXT
    said = f"at {ap['crosskd_pkd'].mean():.1f} ({more} above CrossKD alone, {louder} above CrossKD"
    assert said in README
    slow = [x for x in read_lines() if x["settings"]["schedule.steps"] == 1500 and "AP" in x]
    best = max((x for x in slow if x["teacher"]["name"].startswith("gfl")), key=lambda x: x["AP"])
    assert best["row"] == "crosskd_pkd"


def test_the_three_students_of_the_slow_regime_are_as_said():
    runs = measured_runs("regime")
    ap = runs.pivot(index="seed", columns="row", values="AP")
    three, five = (compare_rows(runs[runs["seed"] < n], "crosskd", "kd") for n in (3, 5))
    least, added = points(three.difference, three.half_width, "+"), ap["crosskd"] - ap["kd"]
    assert 0 < three.difference - three.half_width < 0.1 and f"left out zero ({least[1:]})" in TEXT
    assert "have {:.1f} and {:.1f}, and all five {}.".format(*added[[3, 4]], told(five)) in TEXT
    assert five.n == 5 and 0.06 < 2 / 2**five.n < 0.07 and "could not bring p below 0.06" in TEXT
    none = np.array([[point["AP"] for point in line["curve"]] for line in done("regime", "none")])
    last, before = np.diff(none).mean(axis=0)[::-1]
    assert f"gains {last:.1f} points in the last 500 steps, after {before:.1f} in the 500" in TEXT
    far = {row: pd.DataFrame([x["val"] for x in done("regime", row)]).mean() for row in ap}
    kd, crosskd, alone = (f"{far[row]['l1_truth']:.1f}" for row in ("kd", "crosskd", "none"))
    assert f"({kd} a positive location on the validation split, against {crosskd} for" in TEXT
    assert f"for CrossKD and {alone} without a teacher)" in TEXT
    at = [f"{far[row]['l1_truth_positive']:.2f}" for row in ("kd", "crosskd")]
    assert "at positives alone it is {} against {} (notebook 06".format(*at) in TEXT
    assert f"after 1,500 steps it lay nearer ({kd} against {crosskd})" in TEXT


def test_one_branch_and_both_at_length_are_as_recorded():
    runs, fast = measured_runs("table3_slow"), measured_runs("table3")
    ap = runs.pivot(index="seed", columns="row", values="AP").loc[[0, 1, 2]]
    ends = {row: "{:.1f}, {:.1f} and {:.1f}".format(*ap[row]) for row in ap}

    def apart(one, other, of=runs):
        return told(compare_rows(of, one, other))

    def gains(how):
        return "{} and {} above".format(*(apart(f"{how}_{at}", "none") for at in ("cls", "reg")))

    assert (
        f"mimicking in the class branch alone ends at {ends['kd_cls']}, in the box branch alone at "
        f"{ends['kd_reg']}, {gains('kd')} no teacher; CrossKD at {ends['crosskd_cls']} and at "
        f"{ends['crosskd_reg']}, {gains('crosskd')}."
    ) in TEXT
    both = [compare_rows(runs, how, "none").difference for how in ("kd", "crosskd")]
    assert "together gain {:.1f} and {:.1f}, with no seed more than 1.3 short".format(*both) in TEXT
    over = ap.sub(ap["none"], axis=0)
    short = [over[f"{how}_cls"] + over[f"{how}_reg"] - over[how] for how in ("kd", "crosskd")]
    assert all(one.between(0, 1.3).all() for one in short) and max(map(max, short)) > 1.2
    alone = paper_table(1).set_index("role")["AP"]["student"]
    paper = paper_table(3).set_index(["method", "position"])["AP"] - alone
    for method in ("LD", "CrossKD"):
        cls, reg, whole = (paper[method, at] for at in ("cls", "reg", "cls+reg"))
        assert f"{cls:.1f} and {reg:.1f} make {whole:.1f} by {method}" in TEXT
    more = [apart(f"{how}_cls", f"{how}_reg") for how in ("kd", "crosskd")]
    assert "by {} for mimicking, and by {}, not decided".format(*more) in TEXT
    lead, before = (apart("crosskd_cls", "kd_cls", of) for of in (runs, fast))
    assert f"{lead} in the class branch, where it was {before} after 240 steps" in TEXT
    assert f"and {apart('crosskd_reg', 'kd_reg')} in the box branch." in TEXT
    for row, said in (("kd_cls", "class"), ("crosskd_reg", "box")):
        (line,) = [x for x in TEXT.splitlines() if f"{said} branch alone (Table 3) |" in x]
        assert f"as KD: +{apart(row, 'none')} after 1,500 steps |" in line


def done(sweep, row):
    lines = [x for x in read_lines() if x["sweep"] == sweep and x["row"] == row]
    return sorted((x for x in lines if x["status"] == "done"), key=lambda x: x["seed"])


def told(found, sign=""):
    half = "<0.6" if found.half_width < STRAY else f"{found.half_width:.1f}"
    return f"{found.difference:{sign}.1f} ± {half}"


def test_the_long_regime_is_as_recorded():
    runs = measured_runs("long")
    ap = runs.pivot(index="seed", columns="row", values="AP")
    ends = {row: "{:.1f}, {:.1f} and {:.1f}".format(*ap[row]) for row in ap}
    gain, lead = compare_rows(runs, "crosskd", "none"), compare_rows(runs, "crosskd", "kd")
    assert (
        f"the plain student ends at {ends['none']}, CrossKD's at {ends['crosskd']}, a gain of "
        f"{gain.difference:.1f} ± {gain.half_width:.1f} where it was 10.1 after 1,500 steps; "
        f"mimicking's at {ends['kd']}."
    ) in TEXT
    between = f"{lead.difference:.1f} ± {lead.half_width:.1f}"
    kd, *crosskd = (ap["crosskd"] - ap["kd"]) * [-1, 1, 1]
    assert (
        f"here it is {between}: mimicking ahead by {kd:.1f} with one seed, CrossKD by "
        "{:.1f} and {:.1f} with the others".format(*crosskd)
    ) in TEXT
    means = ap.mean().map("{:.1f}".format)
    assert (
        f"after 6,000 steps it is {means['crosskd']} against {means['none']}; the lead over "
        f"mimicking, which has {means['kd']} then, does not (three seeds, {between})"
    ) in README
    known = [line for line in read_lines() if line["sweep"] == "long" and line["status"] == "done"]
    curves = {(x["row"], x["seed"]): pd.Series([row["AP"] for row in x["curve"]]) for x in known}
    alone, taught, copied = (curves[row, 0] for row in ("none", "crosskd", "kd"))
    assert f"({alone[4]:.1f} at step 5,000, {alone[5]:.1f} at the end; level at best" in TEXT
    assert all(curves["none", seed].diff()[5] < 0.05 for seed in ap.index)
    assert f"until step 5,000 ({taught[4]:.1f} for CrossKD, {copied[4]:.1f} for mimicking)" in TEXT
    leads = [curves["crosskd", seed] - curves["kd", seed] for seed in ap.index]
    assert all(one.min() < 0 < one.max() for one in leads)
    assert f"by {max(one.abs().max() for one in leads):.1f} at most" in TEXT
    far = runs.pivot(index="seed", columns="row", values="l1_truth").round(1)
    assert set(far["kd"]) == {4.5} and {far["none"].min(), far["none"].max()} == {3.4, 3.5}
    crossed = "{:.1f}, {:.1f} and {:.1f}".format(*far["crosskd"])
    assert f"validation split 4.5 against {crossed}; no teacher 3.4 to 3.5)" in TEXT
    near = {row: [x["val"]["l1_truth_positive"] for x in known if x["row"] == row] for row in ap}
    spans = {row: f"{min(near[row]):.2f} to {max(near[row]):.2f}" for row in ("kd", "crosskd")}
    assert f"({spans['kd']} against {spans['crosskd']} there)" in TEXT


def test_most_runs_of_the_fast_regime_took_less_than_three_minutes():
    fast = [line for line in read_lines() if line["settings"]["schedule.steps"] == 240]
    seconds = [
        line["train_seconds"] for line in fast if "train_seconds" in line and "shared" not in line
    ]
    assert "less than three minutes of training on one core in six of seven" in TEXT
    assert sum(value < 180 for value in seconds) >= 6 / 7 * len(seconds)


def test_the_front_page_says_the_same():
    kept = both_regimes()
    for regime, steps in (("fast", "240 steps"), ("slow", "1,500 steps, twelve epochs")):
        aps = [kept.loc[(regime, student), "AP"] for student in ("none", "KD", "CrossKD")]
        line = " | ".join([steps, *aps, kept.loc[(regime, "CrossKD"), "to KD"]])
        assert f"| {line} |" in README
    paper = paper_table(1).set_index("row")["AP"]
    alone, crossed, mimicked = paper[1], paper[5], paper[7]  # rows none, i = 3 and LD
    line = f"{alone} | {mimicked} | {crossed} | {crossed - mimicked:+.1f}"
    assert f"| the paper, Tab. 1, COCO (KD: LD) | {line} |" in README


def test_the_commands_name_what_there_is():
    for name in re.findall(r"crosskd-lab sweep (\w+)", TEXT):
        assert name.removesuffix("_slow") in sweeps()
    (row,) = re.findall(r"--only (\w+)", TEXT)
    assert row in {row.name for row in read_sweep("table1").rows}
