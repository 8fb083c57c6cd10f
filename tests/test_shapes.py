"""Shape contracts: what they bind and what they say."""

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.shapes import expect, expect_same


def test_letters_are_bound_and_numbers_must_match():
    sizes = expect(torch.zeros(2, 3, 5, 7), "N C H W", "neck feature")
    assert sizes == {"N": 2, "C": 3, "H": 5, "W": 7}
    assert expect(torch.zeros(9, 4), "P 4", "boxes", P=9) == {"P": 9}
    assert expect(torch.zeros(3, 3), "N N", "square") == {"N": 3}


@pytest.mark.parametrize(
    ("shape", "spec", "sizes"),
    [
        ((2, 3), "N C H W", {}),
        ((9, 5), "P 4", {}),
        ((3, 2), "N N", {}),
        ((9, 4), "P 4", {"P": 8}),
    ],
)
def test_a_misfit_names_the_thing_the_expected_and_the_given(shape, spec, sizes):
    with pytest.raises(LabError) as error:
        expect(torch.zeros(shape), spec, "teacher boxes", **sizes)
    message = str(error.value)
    assert message.startswith(f"teacher boxes: expected shape ({', '.join(spec.split())})")
    assert message.endswith(f"got {shape}")
    assert all(f"{k} = {v}" in message for k, v in sizes.items())
    assert "\n" not in message


def test_unequal_shapes_name_both_and_the_remedy():
    expect_same(torch.zeros(2, 3), torch.ones(2, 3), "maps")
    with pytest.raises(LabError, match=r"maps: .*\(2, 3\) and \(3, 2\); make them alike"):
        expect_same(torch.zeros(2, 3), torch.zeros(3, 2), "maps", "make them alike")
