import math

import pytest
import torch

from clusterkit.networks.domain import Discriminator, Ramp, reversed_gradient


def test_the_weight_rises_from_zero_to_one_with_the_steps() -> None:
    ramp, low = Ramp(8), Ramp(8, 0.25)
    found = [float(ramp()) for _ in range(9)]
    assert found == pytest.approx([2 / (1 + math.exp(-10 * step / 8)) - 1 for step in range(9)])
    assert [float(low()) for _ in range(9)] == pytest.approx([weight / 4 for weight in found])


def test_the_steps_that_were_taken_are_part_of_the_state() -> None:
    ramp, other = Ramp(8), Ramp(8)
    for _ in range(3):
        ramp()
    other.load_state_dict(ramp.state_dict())
    assert float(ramp()) == float(other()) > 0
    ramp.eval()
    assert float(ramp()) == float(ramp())


def test_the_gradient_is_turned_round() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reversed_gradient(x, torch.tensor(0.25))
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-0.75, -1]


def test_three_layers_give_one_logit_an_item() -> None:
    discriminator = Discriminator(7)
    assert discriminator(torch.randn(5, 7)).shape == (5,)
    assert sum(isinstance(layer, torch.nn.Linear) for layer in discriminator.layers) == 3
