import torch

from crosskd_lab.stack.ops.common import fill_gradients


def test_gradients_come_with_autograd_switched_off():
    x, y = torch.tensor([2.0, 3.0]), torch.tensor([5.0])
    gradients = [torch.zeros(2), torch.zeros(1)]
    with torch.no_grad():
        fill_gradients(gradients, lambda a, b: a**2 * b, [x, y], torch.tensor([1.0, 10.0]))
    # d(a²b)/da = 2ab, d(a²b)/db = a², weighted by 1 and 10.
    assert gradients[0].tolist() == [20.0, 300.0]
    assert gradients[1].tolist() == [94.0]
    assert not x.requires_grad
