"""Batch normalisation over the batch of all processes, also on CPUs, for which torch has none."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.distributed import size, stack_all, sum_all


def global_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return count (), mean (C,) and biased variance (C,) of the values (b, C, ...) of all processes, in float64.

    They follow from the moments of each process, because the difference of two sums of squares would be inexact.
    """
    moments = torch.var_mean(x, [axis for axis in range(x.dim()) if axis != 1], correction=0)
    count = torch.full((1,), x.numel() // x.shape[1], dtype=torch.float64, device=x.device)
    gathered = stack_all(torch.cat([count, *(moment.double() for moment in moments)]))
    counts, variances, means = gathered.split([1, x.shape[1], x.shape[1]], 1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return total, mean, variance


class _Normalise(torch.autograd.Function):
    """Compute (x - mean) / sqrt(variance + eps) * weight + bias, with the mean and variance of x over all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, count: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, count, mean, (variance + eps).rsqrt())
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias.

        For normalised values y and incoming gradient g, that of x is g - mean(g) - y mean(g y), times weight and over
        the standard deviation, with means over all processes. Those of weight and bias are this process's part, as for
        all other parameters.
        """
        [g] = outer
        x, weight, count, mean, inverse = ctx.saved_tensors
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        y = (x - mean.view(shape)).mul_(inverse.view(shape))
        of_bias, of_weight = g.sum(axes), (g * y).sum(axes)
        mean_g, mean_gy = (sum_all(torch.cat([of_bias, of_weight])) / count).to(g.dtype).chunk(2)
        of_x = (g - mean_g.view(shape)).sub_(y.mul_(mean_gy.view(shape))).mul_((inverse * weight).view(shape))
        return of_x, of_weight, of_bias, None, None, None, None


class _Global(nn.modules.batchnorm._BatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        x = x.float() if x.dtype == torch.bfloat16 else x
        count, mean, variance = global_moments(x.detach())
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(x.dtype), self.momentum)
            self.running_var.lerp_((variance * (count / (count - 1))).to(x.dtype), self.momentum)
        out: Tensor = _Normalise.apply(
            x, self.weight, self.bias, count, mean.to(x.dtype), variance.to(x.dtype), self.eps
        )
        return out


class GlobalBatchNorm1d(_Global, nn.BatchNorm1d):
    """nn.BatchNorm1d, with the same state, over the values of all processes."""


class GlobalBatchNorm2d(_Global, nn.BatchNorm2d):
    """nn.BatchNorm2d, with the same state, over the values of all processes."""


GLOBAL: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: GlobalBatchNorm1d,
    nn.BatchNorm2d: GlobalBatchNorm2d,
}


def globalise(network: nn.Module) -> None:
    """Turn each batch normalisation of a network into a global one, in place; parameters and state stay the same.

    With a single process this does nothing.
    """
    if size() == 1:
        return
    for module in network.modules():
        if type(module) in GLOBAL:
            # Instances of the two types hold the same attributes; only `forward` differs.
            module.__class__ = GLOBAL[type(module)]
