"""Shape contracts: what they bind and what they say."""

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.shapes import expect_same


def test_unequal_shapes_name_both_and_the_remedy():
    expect_same(torch.zeros(2, 3), torch.ones(2, 3), "maps")
    with pytest.raises(LabError, match=r"maps: .*\(2, 3\) and \(3, 2\); make them alike"):
        expect_same(torch.zeros(2, 3), torch.zeros(3, 2), "maps", "make them alike")
