"""The paper's tables beside recorded runs and yours, each against its own baseline."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from ..engine.record import find_runs, method_name, read_metrics, read_record, runs_frame
from ..errors import LabError, tell_once
from ..paper import AP_COLUMNS, paper_table
from .stats import Paired, half_width, need, paired, summarise
from .sweep_spec import (
    AGAIN,
    CLOSE,
    RECORDED,
    Sweep,
    difference,
    latest,
    read_confirmed,
    read_lines,
    read_sweep,
)

ABOUT = ["run", "method", "seed"]


def curves(root: str | Path) -> pd.DataFrame:
    """The metrics of all runs below ``root``, one row a logged row, with ``run, method, seed``."""
    frames = []
    for folder in find_runs(root):
        try:
            rows, record = read_metrics(folder), read_record(folder)
        except LabError as error:  # one broken run hides no other
            tell_once(str(error))
            continue
        rows["run"], rows["seed"] = folder.relative_to(root).as_posix(), record["seed"]
        rows["method"] = method_name(record["methods"])
        frames.append(rows[[*ABOUT, *rows.columns.difference(ABOUT, sort=False)]])
    logged = [frame for frame in frames if not frame.empty]
    if not logged:
        return pd.DataFrame(columns=[*ABOUT, "step"])
    return pd.concat(logged, ignore_index=True)


COSTS = ["steps", "train_seconds", "step_seconds", "parameters"]
MISSING = "missing"


def measured_runs(sweep: str | Sweep, recorded: str | Path = RECORDED) -> pd.DataFrame:
    """One row a declared run, whether it was recorded or not, and one a recorded run of more seeds.

    ``source`` ("recorded"), ``sweep``, ``row``, ``method``, ``seed``; ``status``, "done", "failed"
    or "missing", with its ``reason``; AP and its parts on the test split and ``AP_val``, in points,
    ``AP_first``, that of the first validation; ``l1_teacher`` and ``l1_truth``, Fig. 6's distances
    on the validation split; ``steps``, ``train_seconds`` (validations left out) and
    ``step_seconds``, NaN where the record says that the machine was ``shared``, ``parameters``;
    ``commit``; ``checked``, when its first steps were last made again (None: never), how far their
    losses were ``apart`` in relative terms (infinite where others came out), and ``stale``, a text
    that is empty unless they disagreed.
    """
    sweep = read_sweep(sweep) if isinstance(sweep, str) else sweep
    known, confirmed = latest(read_lines(recorded)), read_confirmed(recorded)
    runs = []
    for row in sweep.rows:
        for seed in sorted({*sweep.seeds, *(seed for key, seed in known if key == row.key)}):
            about = {"source": "recorded", "sweep": sweep.name, "row": row.name, "seed": seed}
            line = known.get((row.key, seed), {})
            check = confirmed.get(row.key, {}).get(str(seed), {})
            runs.append(about | _results_of(row.name, line) | _agreement(line, check))
    return pd.DataFrame(runs)


def _results_of(row: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's record says of it; NaN where it says nothing."""
    run: dict[str, Any] = {"method": method_name(line["method"]) if "method" in line else row}
    run |= {"status": line.get("status", MISSING), "reason": line.get("reason")}
    run |= {name: line.get(name, np.nan) for name in (*AP_COLUMNS, *COSTS)}
    if line.get("shared"):
        run |= {"train_seconds": np.nan, "step_seconds": np.nan}
    val, curve = line.get("val", {}), line.get("curve") or [{}]
    run |= {"AP_val": val.get("AP", np.nan), "AP_first": curve[0].get("AP", np.nan)}
    run |= {name: val.get(name, np.nan) for name in ("l1_teacher", "l1_truth")}
    return run | {"commit": line.get("git", {}).get("commit")}


def _agreement(line: Mapping[str, Any], check: Mapping[str, Any]) -> dict[str, Any]:
    """When a record's first steps were made again, and how that came out."""
    if not check or check["recorded"] != line.get("date"):  # never tried, or of an older record
        return {"checked": None, "apart": np.nan, "stale": ""}
    apart = np.inf if check["difference"] is None else check["difference"]
    day = check["date"][:10]
    said = "other losses" if apart == np.inf else f"first losses {apart:.1%} apart"
    return {"checked": day, "apart": apart, "stale": f"{said}, {day}" * (apart > CLOSE)}


def measured_rows(runs: pd.DataFrame, value: str = "AP") -> pd.DataFrame:
    """One row a declared row of :func:`measured_runs`: mean, interval, and paired differences.

    ``row``, ``method``, ``n`` seeds that are done of ``seeds``, ``mean`` with the 95 % interval's
    ``half_width``; ``to_none`` and ``to_kd``, differences over common seeds with ``to_none_half``
    and ``to_kd_half``, and how many seeds, ``to_none_n`` and ``to_kd_n``; ``steps``, mean
    ``train_seconds`` and ``step_seconds``; ``stale``; ``checked``, in words the last day on which
    first steps were made again, the seeds, and how far their losses were apart. NaN where nothing
    is recorded or there is nothing to compare with.
    """
    names, rows = list(runs["row"].unique()), []
    for name in names:
        mine = runs[runs["row"] == name]
        done = mine[(mine["status"] == "done") & mine[value].notna()]
        row = {"row": name, "method": mine["method"].iloc[0], "n": len(done), "seeds": len(mine)}
        row |= {"mean": done[value].mean(), "half_width": half_width(done[value].to_numpy())}
        for kind in ("none", "kd"):
            other = beside(name, kind, names)
            found = compare_rows(runs, name, other, value) if other else None
            row[f"to_{kind}"] = found.difference if found else np.nan
            row[f"to_{kind}_half"] = found.half_width if found else np.nan
            row[f"to_{kind}_n"] = found.n if found else 0
        row |= {cost: done[cost].mean() for cost in COSTS[:3]}
        row |= {"stale": "; ".join(sorted({text for text in done["stale"] if text}))}
        tried = done[done["checked"].notna()]
        seeds, apart = ", ".join(map(str, tried["seed"])), tried["apart"].max()
        row["checked"] = (
            f"{tried['checked'].max()}, seed {seeds}: {apart:.0e}" if seeds else "never"
        )
        rows.append(row)
    return pd.DataFrame(rows)


def compare_rows(runs: pd.DataFrame, one: str, other: str, value: str = "AP") -> Paired | None:
    """Two rows of :func:`measured_runs` over their common seeds; None where there is none."""
    mine = runs[runs["row"].isin([one, other])].assign(method=lambda frame: frame["row"])
    try:
        return paired(mine, one, other, value=value)
    except LabError:
        return None


def beside(name: str, kind: str, names: list[str]) -> str | None:
    """The row that a row such as "crosskd_from_atss" is compared with, or None.

    It is of the same family or teacher where there is one; ``kind`` is "none" or "kd", ``names``
    the sweep's rows.
    """
    family = name.split("_")[0]
    own = f"{family}_{kind}" if family != "crosskd" else ""  # "crosskd_kd" is no family
    if name == own or kind == family == "kd":
        return None  # it is that row itself
    candidates = [own]
    candidates += [name.replace("crosskd", kind)]
    candidates += [kind] if kind == "none" or "_from_" not in name else []
    return next((c for c in candidates if c in names and c != name), None)


def measured_curves(
    sweep: str | Sweep, only: Iterable[str] = (), recorded: str | Path = RECORDED
) -> pd.DataFrame:
    """The validations on the way of every recorded run: Fig. 6's curves.

    ``row, method, seed, step, AP, l1_teacher, l1_truth, l1_truth_positive, l1_truth_background`` on
    the validation split, for ``race_figure``; NaN where a record lacks one. Rows of one method are
    not told apart; ``only`` names rows.
    """
    sweep = read_sweep(sweep) if isinstance(sweep, str) else sweep
    known = latest(read_lines(recorded))
    points = []
    recorded_seeds = dict.fromkeys([*sweep.seeds, *sorted({seed for _, seed in known})])
    for row, seed in sweep.plan(only, recorded_seeds):
        line = known.get((row.key, seed), {})
        about = {"row": row.name, "method": method_name(line.get("method")), "seed": seed}
        points += [{**about, **point} for point in line.get("curve", [])]
    measured = ["AP", "l1_teacher", "l1_truth", "l1_truth_positive", "l1_truth_background"]
    return pd.DataFrame(points, columns=["row", "method", "seed", "step", *measured])


def whole_again(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """Recorded runs that were made again from the first step to the last, below ``again``.

    ``sweep``, ``row``, ``seed``; ``begin``, how far the first losses were apart in relative terms;
    ``threads`` of the record and of the rerun; ``recorded`` and ``again``, AP on the test split;
    ``apart``, the distance of the two.
    """
    known, rows = latest(read_lines(recorded)), []
    for line in read_lines(Path(recorded) / AGAIN):
        before = known.get((line["key"], line["seed"]), {"status": MISSING})
        if before["status"] == line["status"] == "done":
            about = {name: line[name] for name in ("sweep", "row", "seed")}
            about["begin"] = difference(before["begin"], line["begin"])
            about["threads"] = f"{before['threads']}, {line['threads']}"
            found = {"recorded": before["AP"], "again": line["AP"]}
            rows.append({**about, **found, "apart": abs(line["AP"] - before["AP"])})
    columns = ["sweep", "row", "seed", "begin", "threads", "recorded", "again", "apart"]
    return pd.DataFrame(rows, columns=columns)


SOURCES = ("paper", "recorded", "yours")
TABLES = range(1, 9)
KINDS = ("gfl", "retinanet", "fcos", "atss")  # of the detectors in them
SAME = {"LD": "KD", "CrossKD+LD": "CrossKD+KD"}
SAME |= {"Inside GT Box": "InsideGT", "Main Region": "MainRegion", "Fine-Grained": "FineGrained"}
"""The paper's names of methods that have others here; its LD is this lab's KD for heads with box
distributions, too: both mimic p^t with p^s."""
GAIN = ["difference", "difference_half_width", "p_t", "p_sign_flip"]
COLUMNS = ["source", "study", "method", "variant", "n", "mean", "half_width", *GAIN]
COLUMNS += ["steps", "train_seconds", "stale"]


def results(
    number: int,
    metric: str = "AP",
    sources: Sequence[str] = SOURCES,
    runs: str | Path = "runs",
    recorded_runs: str | Path = RECORDED,
) -> pd.DataFrame:
    """Table 1-8 of the paper, and below it what recorded runs and yours have of its methods.

    Every row is compared with *its own* baseline, the student without a teacher: the paper's of the
    same pair, a run's of the same study (folder of runs, or declared sweep) seed by seed. Your runs
    stand in the tables of their own kinds of teacher and student. ``metric`` is AP or one of its
    parts, in points; LabError for an unknown one.

    ``source``; ``study``, the pair, the folder or the sweep; ``method``; ``variant``, the paper's
    position, :func:`by_study`'s of your runs or the sweep's row; ``n`` seeds (NaN: the paper does
    not say) with ``mean`` and the 95 % interval's ``half_width``; ``difference`` to the own
    baseline with its ``difference_half_width`` and two p-values, paired t-test and sign flips; of
    recorded rows ``steps``, mean ``train_seconds`` and ``stale``, in words, where the code of today
    begins otherwise.
    """
    if metric not in AP_COLUMNS:
        raise LabError(f"there is no metric {metric!r}: choose one of {', '.join(AP_COLUMNS)}")
    if unknown := set(sources) - set(SOURCES):
        raise LabError(f"unknown sources {', '.join(sorted(unknown))}: choose of {SOURCES}")
    found = []
    if "paper" in sources or number not in TABLES:  # which says what tables there are
        found.append(_paper_rows(number, metric))
    if "recorded" in sources:
        found.append(_recorded_rows(f"table{number}", metric, recorded_runs))
    if "yours" in sources:
        found.append(_your_rows(number, metric, runs))
    kept = [frame for frame in found if not frame.empty]
    if not kept:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(kept, ignore_index=True).reindex(columns=COLUMNS)


def _paper_rows(number: int, metric: str) -> pd.DataFrame:
    table = paper_table(number)
    baselines: dict[tuple[str, str], float] = {}
    for other in [n for n in TABLES if n != number] + [number]:  # its own comes last and wins
        alone = paper_table(other).query("role == 'student'").set_index(["teacher", "student"])
        baselines |= alone[metric].to_dict()
    table = table[table["role"] != "teacher"]
    pairs = list(zip(table["teacher"], table["student"], strict=True))
    difference = table[metric].to_numpy() - [baselines.get(pair, np.nan) for pair in pairs]
    return pd.DataFrame(
        {
            "source": "paper",
            "study": [f"{teacher} → {student}" for teacher, student in pairs],
            "method": table["method"],
            "variant": table["position"],
            "mean": table[metric],
            "difference": np.where(table["role"] == "student", np.nan, difference),
        }
    ).reindex(columns=COLUMNS)


def _recorded_rows(sweep: str, metric: str, place: str | Path) -> pd.DataFrame:
    """The rows of a declared sweep that have a record."""
    runs = measured_runs(sweep, place)
    rows, names = measured_rows(runs, metric), list(runs["row"].unique())
    rows = rows[rows["n"] > 0].reset_index(drop=True)
    others = [beside(name, "none", names) for name in rows["row"]]
    gains = [
        _gain(compare_rows(runs, name, other, metric) if other else None)
        for name, other in zip(rows["row"], others, strict=True)
    ]
    about = {"source": "recorded", "study": sweep, "variant": rows["row"]}
    return rows.assign(**about).join(pd.DataFrame(gains, columns=GAIN))


def _your_rows(number: int, metric: str, root: str | Path) -> pd.DataFrame:
    """One row a method and variant of every study below ``root`` that belongs to a table."""
    table, frame = paper_table(number), runs_frame(root)
    if frame.empty or metric not in frame:
        return pd.DataFrame(columns=COLUMNS)
    methods = {"none", *table["method"], *(SAME[m] for m in table["method"] if m in SAME)}
    frame = frame[frame["method"].isin(methods) & _of_its_kinds(frame, table)]
    frame = by_study(frame).assign(source="yours")
    rows = summarise(frame, ["study", "method", "variant"], metric)
    gains = []
    for row in rows.itertuples():
        same = frame[frame["study"] == row.study]
        alone = same[same["method"] == "none"]
        mine = same[(same["method"] == row.method) & (same["variant"] == row.variant)]
        found = None
        if row.method != "none" and set(alone["seed"]) & set(mine["seed"]):
            with suppress(LabError):  # common seeds, of which none has finished
                found = paired(pd.concat([mine, alone]), row.method, "none", value=metric)
        gains.append(_gain(found))
    return rows.join(pd.DataFrame(gains, columns=GAIN, index=rows.index))


def by_study(runs: pd.DataFrame) -> pd.DataFrame:
    """The finished ones of ``runs_frame``'s rows with ``study``, their folder, and ``variant``.

    The variant is the options that a run's config spells out; where a study has a method's seed
    twice with the same options, the name of the run's folder without its seed ("mine-s0": "mine"),
    or with it, where that would not tell them apart either.
    """
    need(runs, "method", "options")
    runs = runs[runs["status"] == "done"].rename(columns={"options": "variant"})
    paths = [PurePosixPath(run) for run in runs["run"]]
    names = [re.sub(f"-s{seed}$", "", p.name) for p, seed in zip(paths, runs["seed"], strict=True)]
    runs = runs.assign(study=[path.parent.as_posix() for path in paths], name=names)
    same = ["study", "method", "variant"]
    twice = runs.duplicated([*same, "seed"])
    apart = twice.groupby([runs[name] for name in same], dropna=False).transform("any")
    runs = runs.assign(variant=runs["variant"].mask(apart, runs["name"])).drop(columns="name")
    still = runs.duplicated([*same, "seed"], keep=False)
    whole = [PurePosixPath(run).name for run in runs["run"]]
    return runs.assign(variant=runs["variant"].mask(still, pd.Series(whole, runs.index)))


def _gain(found: Paired | None) -> tuple[float, ...]:
    """The numbers of ``GAIN``; NaN where there was nothing to compare with."""
    return found[1:] if found else (np.nan,) * 4


def _of_its_kinds(frame: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """Whether each run has the kinds of detectors of a table, as far as its record tells them."""

    def kinds(rows: pd.DataFrame) -> list[tuple[str | None, ...]]:
        names = rows.reindex(columns=["teacher", "student"]).to_numpy()
        found = [[re.split("[-_]", str(name))[0].lower() for name in pair] for pair in names]
        return [tuple(kind if kind in KINDS else None for kind in pair) for pair in found]

    pairs = set(kinds(table))
    fits = [
        any(all(a in (None, b) for a, b in zip(run, pair, strict=True)) for pair in pairs)
        for run in kinds(frame)
    ]
    return pd.Series(fits, frame.index, dtype=bool)
