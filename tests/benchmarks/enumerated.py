"""The obvious implementations: every pair of a batch written out, as the papers describe it."""

import torch
from torch import Tensor, nn


class EnumeratedHead(nn.Module):
    """The pair-enumeration layer: B^2 rows of 2D, and the two fully connected layers on them."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        pairs = torch.cat([x.repeat_interleave(count, 0), x.repeat(count, 1)], 1)
        out: Tensor = self.layers(pairs)
        return out


def enumerated_ccl(logits: Tensor, similar: Tensor) -> Tensor:
    p = logits.softmax(1)
    count = len(p)
    together = (p.repeat_interleave(count, 0) * p.repeat(count, 1)).sum(1)
    s = similar.reshape(-1)
    return -(s * (together + 1e-7).log() + (1 - s) * (1 - together + 1e-7).log()).mean()


def enumerated_kcl(logits: Tensor, similar: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    count = len(log_p)
    left, right = log_p.detach().repeat_interleave(count, 0), log_p.repeat(count, 1)
    divergence = (left.exp() * (left - right)).sum(1)
    s = similar.reshape(-1)
    return (s * divergence + (1 - s) * (2 - divergence).clamp_min(0)).mean()


def enumerated_supreme(first: Tensor, second: Tensor, prior: Tensor, scale: float) -> Tensor:
    count = len(prior)
    joint = prior.repeat_interleave(count, 0) * prior.repeat(count, 1)
    entropy, constraint = -(joint * joint.log()).sum(1), joint.sum(1)
    weight = (-entropy / scale).softmax(0)
    together = (first.repeat_interleave(count, 0) * second.repeat(count, 1)).sum(1)
    other = 1 - torch.eye(count, device=prior.device).flatten()
    return -(other * weight * constraint * (together + 1e-7).log()).sum()


def enumerated_autonovel(first: Tensor, second: Tensor, similar: Tensor) -> Tensor:
    count = len(first)
    p, q = first.softmax(1), second.softmax(1)
    together = (p.repeat_interleave(count, 0) * q.repeat(count, 1)).sum(1)
    s = similar.flatten().float()
    return -(s * (together + 1e-7).log() + (1 - s) * (1 - together + 1e-7).log()).mean()
