"""Batch-normalisation statistics of the target, exact over a whole set that fits in memory."""

import logging
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset

log = logging.getLogger("clusterkit")

ROOM = 2**30
"""Bytes of decoded pixels held for the statistics of a streamed set."""
BLOCK = 100
"""Images decoded at a time."""
_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def blocks_of(subset: Subset, device: torch.device) -> Callable[[], Iterator[Tensor]]:
    """Return a function that yields, at each call, the items for a subset's statistics in blocks.

    These are all items, or a random sample of a stream too large to hold, which a log line reports. A stream is read
    once.
    """
    sample = _in_memory(subset)
    return lambda: (to_float(items) for items in sample.blocks(device))


def _in_memory(subset: Subset) -> Subset:
    if isinstance(subset.images, Tensor):
        return subset
    stream, count = subset.images, len(subset)
    limit = max(1, ROOM // (stream.channels * stream.size**2))
    positions = torch.arange(count)
    if count > limit:
        positions = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:limit].sort().values
        log.info(
            "%s: batch normalisation uses the statistics of %d of %d images, drawn at random: memory holds no more",
            *(subset.name, limit, count), extra={"once": True},
        )  # fmt: skip
    images = torch.empty(len(positions), stream.channels, stream.size, stream.size, dtype=torch.uint8)
    for part, block in zip(images.split(BLOCK), stream.batches(positions.split(BLOCK)), strict=True):
        part.copy_(block)
    return Subset(subset.name, images, subset.ids[positions], None)


class _ReachedError(Exception):
    """Ends a forward pass at the layer whose input is collected."""


def normalisations(network: nn.Module, kept: Iterable[nn.Module] = ()) -> list[_Norm]:
    """Return the batch normalisations of a network, but not those in the layers `kept`."""
    inside = {module for layer in kept for module in layer.modules()}
    every = (module for module in network.modules() if module not in inside)
    return [module for module in every if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]


def set_target_statistics(
    network: nn.Module, run: Callable[[Tensor], Tensor], blocks: Callable[[], Iterator[Tensor]],
    kept: Iterable[nn.Module] = (),
) -> None:  # fmt: skip
    """Replace the running statistics of every batch normalisation in `network` by those of a set of items.

    Those in the layers `kept` stay.

    `run` is the forward pass, and `blocks` yields all items in blocks of any size. The result is what one forward pass
    of the whole set as a single batch would normalise by, biased variance included. A single block takes one pass;
    several blocks take one pass per layer, cut off at that layer.
    """
    network.eval()
    norms = normalisations(network, kept)
    with torch.no_grad():
        first = list(_at_most(blocks(), 2))
        if len(first) == 1:
            hooks = [norm.register_forward_pre_hook(_set_from_input) for norm in norms]
            run(first[0])
            for hook in hooks:
                hook.remove()
        else:
            for norm in _execution_order(norms, run, first[0]):
                _set_blockwise(norm, run, blocks)


def _at_most(blocks: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    for _, block in zip(range(count), blocks, strict=False):
        yield block


Sums = tuple[int, Tensor, Tensor]


def sums(x: Tensor) -> Sums:
    """Return the number of values per channel, their sum and their sum of squares, in float64 on the CPU."""
    count = x.numel() // x.shape[1]
    # From the moments, because sums of squares in float32 are inexact and a float64 copy of x might not fit.
    moments = torch.var_mean(x, [axis for axis in range(x.dim()) if axis != 1], correction=0)
    variance, mean = (moment.cpu().double() for moment in moments)
    return count, count * mean, count * (variance + mean.square())


def mean_and_variance(parts: list[Sums]) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of all channels, in float64 on the CPU, from the sums of all parts."""
    counts, totals, squares = zip(*parts, strict=True)
    mean = torch.stack(totals).sum(0) / sum(counts)
    return mean, (torch.stack(squares).sum(0) / sum(counts) - mean.square()).clamp_min(0)


def _store(norm: _Norm, parts: list[Sums]) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = mean_and_variance(parts)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _set_from_input(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    _store(norm, [sums(inputs[0])])


def _execution_order(norms: list[_Norm], run: Callable[[Tensor], Tensor], block: Tensor) -> list[_Norm]:
    order: list[_Norm] = []
    hooks = [norm.register_forward_pre_hook(lambda module, _: order.append(module)) for norm in norms]
    run(block[:1])
    for hook in hooks:
        hook.remove()
    return order


def _set_blockwise(norm: _Norm, run: Callable[[Tensor], Tensor], blocks: Callable[[], Iterator[Tensor]]) -> None:
    parts: list[Sums] = []

    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        parts.append(sums(inputs[0]))
        raise _ReachedError

    hook = norm.register_forward_pre_hook(collect)
    for block in blocks():
        try:
            run(block)
        except _ReachedError:
            continue
    hook.remove()
    _store(norm, parts)
