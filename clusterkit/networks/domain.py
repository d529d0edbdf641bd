"""Modules that align two domains during a training and are discarded afterwards."""

from typing import Any, cast

import torch
from torch import Tensor, nn

WIDTH = 1024
"""Units of the two hidden layers of the discriminator."""
STEEPNESS = 10.0
"""Slope of the ramp, 10 in its equation."""


class Ramp(nn.Module):
    """Weight of a term that aligns domains, which rises during training as `height` (2 / (1 + exp(-10 p)) - 1).

    p is the share of `steps` that is done (Ganin et al. 2016, DANN; Long et al. 2017, JAN). Each call in training mode
    counts as a step. The count is part of the state, so that an interrupted training resumes with the right weight.
    """

    def __init__(self, steps: int, height: float = 1.0) -> None:
        super().__init__()
        self.steps, self.height = steps, height
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self) -> Tensor:
        """Return the weight ()."""
        step = cast(Tensor, self.seen)
        # tanh(x / 2) is 2 / (1 + exp(-x)) - 1.
        weight = self.height * (step * (STEEPNESS / 2 / self.steps)).tanh()
        if self.training:
            step += 1
        return weight


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None]:
        [weight] = ctx.saved_tensors
        return outer[0] * -weight, None


def reversed_gradient(x: Tensor, weight: Tensor) -> Tensor:
    """Return `x` unchanged, with its incoming gradient multiplied by -`weight` (Ganin et al. 2016)."""
    out: Tensor = _Reversed.apply(x, weight)
    return out


class Discriminator(nn.Module):
    """Three fully connected layers that tell source features from target features.

    They have no batch normalisation: with it the loss drifted far above log 2, the loss by chance.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (features, WIDTH):
            layers += [nn.Linear(inputs, WIDTH), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B,) of features (B, D); a positive logit means source."""
        out: Tensor = self.layers(x)
        return out[:, 0]
