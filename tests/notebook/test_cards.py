"""Cards against the sources of their words and numbers."""

from __future__ import annotations

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.methods import METHODS
from crosskd_lab.methods.fgd import FGD
from crosskd_lab.notebook.cards import (
    COSTS,
    IN_TABLE_5,
    card,
    picture,
    pocket_method,
    read_costs,
    words,
)
from crosskd_lab.report.sweep_spec import append_line, read_sweep


@pytest.mark.parametrize(
    ("name", "ap"), [("fitnets", "40.7"), ("main_region", "41.1"), ("skd", "42.3"), ("pkd", "43.3")]
)
def test_a_card_carries_the_paper_s_number(name, ap):
    text = card(name)
    assert f"| AP in the paper (Table 5) | {ap} on COCO, the student alone 40.2 |" in text
    assert "weight = " in text


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_card(name):
    text = card(name)
    assert text.startswith(f"### {METHODS[name].__name__}\n")
    assert "Args:" not in text and "``" not in text.replace("~~~", "")
    assert ("not in the table" in text) == (name not in IN_TABLE_5)


def test_the_words_are_the_docstring_s():
    text = words(FGD)
    assert "**Paper:** Focal and Global Knowledge Distillation" in text
    formula = text.split("~~~text\n")[1].split("\n~~~")[0].splitlines()
    assert formula[0].startswith("L_fg   = sum of M_fg") and len(formula) == 3
    for part in ("Idea", "Needs", "Symbols", "Carried over", "Unverified"):
        assert f"**{part}:**" in text


def test_what_a_method_trains_is_counted():
    # a level: two blocks of a 64 -> 1 key, 64 -> 32 -> 64 convs and a norm of 32 channels
    block = (64 + 1) + (64 * 32 + 32) + 2 * 32 + (32 * 64 + 64)
    assert f"{5 * 2 * block:,} parameters at pocket scale" in card("fgd")
    assert "| Trained beside the student | nothing |" in card("gid")


def test_costs_and_runs_come_from_the_records(tmp_path):
    assert "| AP recorded here | none yet |" in card("skd", tmp_path)
    assert "not measured yet" in card("skd", tmp_path)
    (tmp_path / COSTS).write_text(
        "method,device,extra_ms,extra_mb\nskd,cpu,12.34,5.6\nskd,gpu,1.5,7\nld,cpu,1,1\n"
    )
    assert "12.3 ms, 5.6 MB (cpu); 1.5 ms, 7.0 MB (gpu)" in card("skd", tmp_path)


def test_the_recorded_ap_is_that_of_the_tables_row(tmp_path):
    for sweep, name, aps in (("table5", "skd", (14, 16)), ("table1", "kd", (9,))):
        rows = {row.name: row for row in read_sweep(sweep).rows}
        for at, gain in (("none", 5), (name, 0)):
            for seed, ap in enumerate(aps):
                line = {"row": at, "key": rows[at].key, "seed": seed, "status": "done"}
                line |= {"AP": ap - gain, "method": []}
                append_line(tmp_path / f"{sweep}.jsonl", line)
    # t = 12.7 for two seeds, sd = 1.41; KD's and SKD's seed 0 share the student alone
    assert "| 15.0 ± 12.7 over 2 seed(s), +5.0 to the student alone, not on COCO |" in card(
        "skd", tmp_path
    )
    assert "| none yet |" in card("fgd", tmp_path)
    assert "| 9.0 over 1 seed(s), " in card("kd", tmp_path)


def test_a_picture_shows_region_gradient_and_cost(make_pair, make_batch, tmp_path):
    pair = make_pair(0)
    inputs, samples = make_batch()
    batch = {"inputs": inputs, "data_samples": samples}
    figure = picture("inside_gt", pair, batch, image=1, root=tmp_path)
    image, bars, region, _ = (ax for part in figure.subfigs for ax in part.axes)
    assert bars.texts[0].get_text() == "not measured yet"
    drawn = region.images[0].get_array()
    assert drawn[24, 16] > 0 and drawn[60, 60] == 0, "inside and outside of the one box"
    assert [patch.get_x() for patch in image.patches] == [1.5]
    shown = picture("inside_gt", pair, batch)
    (note,) = shown.subfigs[0].axes[1].texts
    own = read_costs().set_index("method").loc["inside_gt"]
    assert note.get_text().strip() == f"{own.own_ms:.0f} ms, {own.own_mb:.0f} MB"


def test_costs_of_one_device_in_the_order_of_table_5(tmp_path):
    assert read_costs(tmp_path).empty
    (tmp_path / COSTS).write_text(
        "method,device,extra_ms,extra_mb,own_ms,own_mb\n"
        "none,cpu,0,0,0,0\nskd,cpu,3,3,2,2\nkd,cpu,2,2,1,1\nkd,cuda,9,9,9,9\n"
    )
    assert list(read_costs(tmp_path)["method"]) == ["kd", "skd"]
    assert list(read_costs(tmp_path, "cuda")["own_ms"]) == [9]


def test_a_pocket_method_is_that_of_its_config():
    assert isinstance(pocket_method("fgd"), FGD) and pocket_method("fgd").channels == 64


def test_an_unknown_method_is_named_with_the_known_ones():
    with pytest.raises(LabError, match="there is no method 'mimic': choose one of kd, fitnets"):
        card("mimic")
