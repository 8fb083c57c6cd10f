"""docs/plan.md says what the model assumes, and shows the measurement that is shipped."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from crosskd_lab.runs import forecast

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
CSV = ROOT / "data" / "recorded" / "scaling.csv"


@pytest.fixture(scope="module")
def scaling():
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_defaults_are_those_of_the_code():
    said = re.search(
        r"([\d.]+) GB/s in a machine of eight, .* ([\d.]+) GB/s between machines, ([\d.]+) ms a "
        r"bucket, half of it hidden",
        TEXT,
    )
    speeds = [forecast.INSIDE / 1e9, forecast.BETWEEN / 1e9, 1000 * forecast.LATENCY]
    assert [float(number) for number in said.groups()] == speeds
    assert (forecast.OVERLAP, forecast.MACHINE) == (0.5, 8)
    assert f"{forecast.COCO_IMAGES:,} images" in TEXT


def test_the_table_is_the_recorded_one(scaling):
    shown = TEXT.partition(scaling.BEGIN)[2].partition("\n")[2].partition(scaling.END)[0]
    assert shown.strip() == scaling.table(pd.read_csv(CSV))


def test_a_new_measurement_takes_the_place_of_the_old(scaling):
    text = f"above\n{scaling.BEGIN} how -->\nold\n{scaling.END}\nbelow\n"
    assert scaling.put_into(text, "new") == text.replace("old", "new")


def test_the_table_says_what_was_measured_and_predicted(scaling):
    frame = pd.DataFrame(
        [
            dict(case="alone", processes=1, measured_ms=100.4, images=4),
            dict(case="beside", processes=2, measured_ms=120.0, images=8),
            dict(
                **dict(case="together", processes=2, measured_ms=131.0, images=8),
                **{"alone_0_ms": 120.0, "alone_0.5_ms": 110.0, "alone_1_ms": 100.0},
                **{"beside_0_ms": 140.0, "beside_0.5_ms": 130.0, "beside_1_ms": 120.0},
            ),
        ]
    ).assign(
        **dict(recipe="pocket/crosskd", size=64, steps=3, cpu="A CPU", cores=2, torch="2.0"),
        **dict(date="2026-01-01", gradient_mb=5.0, gb_s=1.0, latency_ms=0.1, overlap=0.5),
    )
    lines = scaling.table(frame).splitlines()
    assert "| one process | 100 | |" in lines
    assert "| 2 through gloo | 131 | 110 (100 to 120) from one |" in lines
    assert "| | | 130 (120 to 140) from 2 that do not talk |" in lines
