"""The pair head of G: the pair-enumeration layer and the layers after it, computed without enumerating pairs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.distributed import gather_rows
from clusterkit.networks.pair_logits import pair_logits

EPSILON = 1e-5
MOMENTUM = 0.1


class PairHead(nn.Module):
    """A hidden layer with batch normalisation and a binary classifier, on all B^2 ordered pairs of a batch.

    The published head (Hsu et al. 2018, L2C, section 4.1) concatenates the features of each pair, self-pairs included,
    and feeds the B^2 x 2D matrix to a linear layer. As that layer is a sum, W [a; b] = W1 a + W2 b, two B x D x H
    products and a broadcast addition give the same B^2 x H result. Over all pairs, the batch statistics are exactly
    mean(u) + mean(v) and var(u) + var(v).

    The two-class softmax of the paper is one logit here, the difference of its two outputs. A positive logit means
    similar.

    The head of an ensemble is the heads of its members side by side. Each member's head reads its part of the features
    (D in all) and has its own hidden units. The mean of their logits is the logit of one head with all hidden units, so
    only training tells members apart.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, hidden: int, members: int = 1) -> None:
        super().__init__()
        self.members = members
        width, total = features // members, members * hidden
        joint = torch.cat([nn.Linear(2 * width, hidden, bias=False).weight.detach() for _ in range(members)])
        self.left = nn.Parameter(joint[:, :width].clone())
        self.right = nn.Parameter(joint[:, width:].clone())
        self.scale = nn.Parameter(torch.ones(total))
        self.shift = nn.Parameter(torch.zeros(total))
        self.out = nn.Linear(total, 1)
        self.register_buffer("running_mean", torch.zeros(total))
        self.register_buffer("running_var", torch.ones(total))

    @property
    def weight(self) -> Tensor:
        """Weight (H,) of each hidden unit in the mean logit of all members."""
        return self.out.weight[0] / self.members

    @property
    def bias(self) -> Tensor:
        return self.out.bias[0]

    def project(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return both halves of the linear layer's output, (N, H) each, from features (N, D)."""
        if self.members == 1:
            return F.linear(features, self.left), F.linear(features, self.right)
        parts = features.chunk(self.members, 1)
        left, right = (
            torch.cat([F.linear(x, part) for x, part in zip(parts, weight.chunk(self.members), strict=True)], 1)
            for weight in (self.left, self.right)
        )
        return left, right

    def factors(self, features: Tensor, *, batch_statistics: bool) -> tuple[Tensor, Tensor]:
        """Return u and v, both (N, H), such that relu(u_i + v_j) is the hidden layer of the pair (i, j).

        `features` is (N, D). The normalisation with its scale and shift is folded in; it uses the statistics of these
        N^2 pairs or the running ones. In training on several processes, u has the rows of this process and v those of
        all.
        """
        u, v = self.project(features)
        all_u = gather_rows(u) if self.training else u
        v = gather_rows(v) if self.training else v
        if batch_statistics:
            mean, variance = grid_statistics(all_u, v)
            if self.training:
                self._update_running(mean.detach(), variance.detach(), len(v) ** 2)
        else:
            mean, variance = self.running_mean, self.running_var
        return self.fold(u, v, mean, variance)

    def fold(self, u: Tensor, v: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections with the normalisation by the statistics (H,), and its scale and shift, folded in."""
        factor = self.scale * (variance + EPSILON).rsqrt()
        return (u - mean) * factor + self.shift, v * factor

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (B, B) of all ordered pairs of a batch of features (B, D).

        In training on several processes, return those (b, B) of this process's features (b, D) with the features of
        all.
        """
        u, v = self.factors(features, batch_statistics=self.training)
        return pair_logits(u, v, self.weight, self.bias)

    def by_member(self, features: Tensor) -> Tensor:
        """Return the logits (M, B, B) of each member; their mean is the result of `forward`."""
        u, v = self.factors(features, batch_statistics=self.training)
        left, right, weight = (part.chunk(self.members, -1) for part in (u, v, self.out.weight[0]))
        members = zip(left, right, weight, strict=True)
        return torch.stack([pair_logits(*member, self.bias) for member in members])

    def _update_running(self, mean: Tensor, variance: Tensor, pairs: int) -> None:
        with torch.no_grad():
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(variance * (pairs / max(pairs - 1, 1)), MOMENTUM)


def grid_statistics(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance, (H,) each, of u_i + v_j over all ordered pairs (i, j), self-pairs included."""
    mean = u.mean(0) + v.mean(0)
    variance = u.var(0, correction=0) + v.var(0, correction=0)
    return mean, variance
