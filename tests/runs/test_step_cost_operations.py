"""Counts against counting by hand."""

from __future__ import annotations

import torch
from torch import nn

from crosskd_lab.runs.step_cost import Operations, count


def test_a_convolution_forward_and_backward():
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    image = torch.randn(2, 4, 5, 7, requires_grad=True)
    forward = 2 * 5 * 7 * 9 * 4 * 6
    with torch.no_grad():
        assert count(lambda: conv(image)).multiply_adds == forward
    # as much again for the input's gradient and for the weights'
    assert count(lambda: conv(image).sum().backward()).multiply_adds == 3 * forward
    conv.requires_grad_(False)
    assert count(lambda: conv(image).sum().backward()).multiply_adds == 2 * forward


def test_bytes_are_those_of_operands_and_results():
    a, b = torch.zeros(10, 10), torch.zeros(10, 10, dtype=torch.float64)
    seen = count(lambda: a + b)
    assert seen == Operations(0, 400 + 800 + 800, 1)
    assert count(lambda: a.view(100).t()) == Operations(0, 0, 0), "views move nothing"
    assert count(lambda: torch.cat([a, a])).moved == 400 + 400 + 800


def test_what_one_run_does_beyond_another():
    assert Operations(9, 8, 7).less(Operations(1, 2, 3)) == Operations(8, 6, 4)
