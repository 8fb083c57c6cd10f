"""benchmarks/operations.py: counts against counting by hand."""

import importlib
from pathlib import Path

import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def operations():
    """benchmarks/operations.py, which imports its neighbour as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("operations")


def test_a_convolution_forward_and_backward(operations):
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    image = torch.randn(2, 4, 5, 7, requires_grad=True)
    forward = 2 * 5 * 7 * 9 * 4 * 6
    with torch.no_grad():
        assert operations.count(lambda: conv(image)).multiply_adds == forward
    # as much again for the input's gradient and for the weights'
    assert operations.count(lambda: conv(image).sum().backward()).multiply_adds == 3 * forward
    conv.requires_grad_(False)
    assert operations.count(lambda: conv(image).sum().backward()).multiply_adds == 2 * forward


def test_bytes_are_those_of_operands_and_results(operations):
    a, b = torch.zeros(10, 10), torch.zeros(10, 10, dtype=torch.float64)
    seen = operations.count(lambda: a + b)
    assert seen == operations.Operations(0, 400 + 800 + 800, 1)
    assert operations.count(lambda: a.view(100).t()) == operations.Operations(0, 0, 0), (
        "views move nothing"
    )
    assert operations.count(lambda: torch.cat([a, a])).moved == 400 + 400 + 800


def test_what_one_run_does_beyond_another(operations):
    assert operations.Operations(9, 8, 7).less(
        operations.Operations(1, 2, 3)
    ) == operations.Operations(8, 6, 4)
