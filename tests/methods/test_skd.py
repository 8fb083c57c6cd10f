"""SKD by hand."""

import pytest
import torch
import torch.nn.functional as F

from crosskd_lab.errors import LabError
from crosskd_lab.methods.skd import SKD, gaussian, min_max, ssim


def test_constant_maps_differ_in_luminance_alone():
    value = ssim(torch.ones(1, 1, 6, 6), torch.zeros(1, 1, 6, 6))
    assert value.flatten().tolist() == pytest.approx([9.999e-5] * 36, rel=1e-3)
    # the same number as a loss: (1 - 9.999e-5) / 2
    assert ((1 - value) / 2).mean().item() == pytest.approx(0.49995, abs=1e-6)


def test_equal_maps_are_similar():
    feature = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ssim(feature, feature), torch.ones(()), atol=1e-5)


def reference_ssim(a, b):
    """The product of luminance, contrast and structure, with an 11x11 window as one kernel."""
    at = torch.arange(11).double() - 5
    kernel = torch.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[None, None]

    def blur(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (5, 5, 5, 5), mode="replicate"), kernel)

    a, b = a.double(), b.double()
    mu_a, mu_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mu_a**2, blur(b * b) - mu_b**2, blur(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    deviations = (var_a * var_b).sqrt()
    luminance = (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1)
    contrast = (2 * deviations + c2) / (var_a + var_b + c2)
    structure = (cov + c2 / 2) / (deviations + c2 / 2)
    return luminance * contrast * structure


@pytest.mark.parametrize("size", [(9, 14), (2, 3)])
def test_ssim_is_the_product_of_its_three_parts(size):
    torch.manual_seed(0)
    a, b = torch.rand(1, 1, *size), torch.rand(1, 1, *size)
    assert torch.allclose(ssim(a, b).double(), reference_ssim(a, b), atol=1e-4)


def test_the_gaussian_repeats_the_border():
    rows = gaussian(3, torch.device("cpu"))
    assert torch.allclose(rows.sum(1), torch.ones(3))
    assert torch.equal(gaussian(1, torch.device("cpu")), torch.ones(1, 1))
    tail = torch.exp(-0.5 * (torch.arange(-5, 6) / 1.5) ** 2)
    assert rows[0, 0].item() == pytest.approx((tail[:6].sum() / tail.sum()).item())


def test_a_positive_affine_copy_costs_nothing(hand):
    teacher = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = SKD().losses(hand(3 * teacher + 7, teacher, ((), ())))["loss_skd"]
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert SKD().losses(hand(-teacher, teacher, ((), ())))["loss_skd"].item() > 1


def test_constant_and_one_cell_maps_stay_finite(hand):
    for student in (torch.ones(1, 1, 4, 4), torch.ones(1, 4, 1, 1)):
        student.requires_grad_()
        loss = SKD().losses(hand(student, torch.rand_like(student)))["loss_skd"]
        loss.backward()
        assert loss.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("sample", [0, 1 / 3, 2 / 3, 1, 0, 0, 0, 0]),
        ("channel", [0, 1, 0, 1, 0, 0, 0, 0]),
        ("map", [0, 0.2, 0.4, 0.6, 1, 1, 1, 1]),
    ],
)
def test_min_max_over_each_scope(scope, expected):
    feature = torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]]])
    feature = torch.stack([feature, torch.full_like(feature, 5.0)])
    assert min_max(feature, scope).flatten().tolist() == pytest.approx(expected)


def test_min_max_refuses_an_unknown_scope():
    with pytest.raises(LabError, match="choose one of sample, channel, map"):
        min_max(torch.zeros(1, 1, 1, 1), "image")
