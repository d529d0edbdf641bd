"""What test_distributed.py calls in each of two processes: `checks`, or command lines in float64."""

import os

import torch
from torch import Tensor, nn

from clusterkit.__main__ import main
from clusterkit.distributed import gather_rows, joined, share, size, sum_all, sum_gradients
from clusterkit.losses import Loss, blocks, pair_loss
from clusterkit.losses.autonovel import largest, pair_entropy, same_sets
from clusterkit.methods.common import large_families, sample
from clusterkit.networks.global_norm import globalise
from clusterkit.networks.pair_head import PairHead
from clusterkit.pairs import tiles
from tests import sets

torch.set_num_threads(1)


def close(found: Tensor | None, expected: Tensor | None, exact: bool = True) -> None:
    assert found is not None
    assert expected is not None
    tolerance = {"rtol": 1e-9, "atol": 1e-10} if exact else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found, expected, **tolerance)


def gathered_rows_and_their_gradient() -> None:
    for counts in ([4, 3], [1, 6], [2, 2]):
        whole = torch.randn(sum(counts), 3, 2)
        weights = torch.randn(2, *whole.shape)
        rank = share(2).start
        mine = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        x = whole[mine].clone().requires_grad_()
        every = gather_rows(x)
        (every * weights[rank]).sum().backward()
        assert torch.equal(every, whole)
        close(x.grad, weights.sum(0)[mine])


def batch_normalisation(shape: tuple[int, ...], layout: torch.memory_format, offset: float, exact: bool) -> None:
    plain = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    plain = plain.double() if exact else plain.float()
    with torch.no_grad():
        plain.weight.normal_()
        plain.bias.normal_()
    common = nn.Sequential(type(plain)(shape[1])).to(plain.weight)
    common[0].load_state_dict(plain.state_dict())
    globalise(common)
    assert isinstance(common[0], type(plain))
    assert type(common[0]) is not type(plain)
    for _ in range(2):
        x = (torch.randn(shape) + offset).to(plain.weight).contiguous(memory_format=layout).requires_grad_()
        weights = torch.randn(shape).to(x)
        own = share(len(x)).rows
        part = x.detach()[own].clone(memory_format=torch.preserve_format).requires_grad_()
        out, expected = common(part), plain(x)
        for network in (common, plain):
            network.zero_grad()
        (out * weights[own]).sum().backward()
        (expected * weights).sum().backward()
        sum_gradients(common.parameters())
        close(out, expected[own], exact)
        close(part.grad, x.grad[own], exact)
        for found, wanted in zip(common.parameters(), plain.parameters(), strict=True):
            close(found.grad, wanted.grad, exact)
    for found, wanted in zip(common.state_dict().values(), plain.state_dict().values(), strict=True):
        close(found, wanted, exact)
    close(common.eval()(part), plain.eval()(x)[own], exact)


def pair_head() -> None:
    head = PairHead(6, 9)
    features, weights = torch.randn(7, 6), torch.randn(7, 7)
    own = share(7).rows
    part = features[own].clone().requires_grad_()
    logits = head(part)
    (logits * weights[own]).sum().backward()
    sum_gradients(head.parameters())
    found = [logits, part.grad, *(p.grad for p in head.parameters()), head.running_mean, head.running_var]
    # The reference: all rows in one process, with what other processes there are kept out of it.
    head.zero_grad()
    head.eval()
    whole = features.clone().requires_grad_()
    u, v = head.factors(whole, batch_statistics=True)
    expected = ((u[:, None] + v[None]).relu() @ head.out.weight[0]) + head.out.bias
    (expected * weights).sum().backward()
    joint = whole.detach() @ head.left.T, whole.detach() @ head.right.T
    grid = (joint[0][:, None] + joint[1][None]).reshape(-1, 9)
    statistics = [0.1 * grid.mean(0), 0.9 + 0.1 * grid.var(0)]
    wanted = [expected[own], whole.grad[own], *(p.grad for p in head.parameters()), *statistics]
    for one, other in zip(found, wanted, strict=True):
        close(one, other.detach() if other is not None else None)


def losses(name: Loss, count: int, soft: bool) -> None:
    logits, similar = 2 * torch.randn(count, 4), torch.rand(count, count)
    similar = (similar + similar.T) / 2
    similar = (similar if soft else similar.round()).float()
    own = share(count).rows
    part = logits[own].float().requires_grad_()
    weight = torch.rand(count, count)
    weight = (weight + weight.T).float()
    value = pair_loss(name)(part, similar[own], 2.0, weight[own])
    value.backward()
    exact = logits.float().double().requires_grad_()
    expected = whole_loss(name, exact, similar.double(), weight.double())
    expected.backward()
    close(sum_all(value.detach()).double(), expected.detach(), exact=False)
    close(part.grad.double(), exact.grad[own], exact=False)


def whole_loss(name: Loss, logits: Tensor, similar: Tensor, weight: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    if name is Loss.CCL:
        near = p @ p.T
        return -(weight * (similar * (near + 1e-7).log() + (1 - similar) * (1 - near + 1e-7).log())).mean()
    divergence = (p * log_p).sum(1).detach()[:, None] - p.detach() @ log_p.T
    return (weight * (similar * divergence + (1 - similar) * (2 - divergence).clamp_min(0))).mean()


def pairs_of_views(count: int) -> None:
    """Pairs of all items are similar or not, those of items in different processes too."""
    logits, features = 2 * torch.randn(2, count, 4), torch.rand(count, 4)
    own = share(count).rows
    first, second = (view[own].float().requires_grad_() for view in logits)
    ranks = largest(features[own], 2)
    similar = same_sets(ranks, gather_rows(ranks))
    whole = features.topk(2).indices.sort().values
    expected_pairs = (whole[:, None] == whole).all(2)
    assert torch.equal(similar, expected_pairs[own])
    value = pair_entropy(first, second, similar)
    value.backward()
    p, q = (view.float().double().requires_grad_() for view in logits)
    near = p.softmax(1) @ q.softmax(1).T
    expected = -(torch.where(expected_pairs, near, 1 - near) + 1e-7).log().mean()
    expected.backward()
    close(sum_all(value.detach()).double(), expected.detach(), exact=False)
    for found, wanted in ((first, p), (second, q)):
        assert found.grad is not None
        assert wanted.grad is not None
        close(found.grad.double(), wanted.grad[own], exact=False)


def checks() -> None:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    with joined("cpu"):
        assert size() == 2
        gathered_rows_and_their_gradient()
        batch_normalisation((7, 5), torch.contiguous_format, 3, exact=True)
        batch_normalisation((5, 3, 4, 2), torch.channels_last, 3, exact=True)
        batch_normalisation((2, 3, 4, 4), torch.contiguous_format, 0, exact=False)
        pair_head()
        for elements in (blocks.BLOCK_ELEMENTS, 20):
            blocks.BLOCK_ELEMENTS = elements
            for name in Loss:
                for count in (2, 7, 12):
                    losses(name, count, soft=count == 7)
            pairs_of_views(7)


def in_float64(ports: list[str], lines: list[str]) -> int:
    """Run command lines with every number in float64, so that nothing but the order of sums makes a difference.

    Each has a port of its own: one process joins others once in its life, and here does so several times.
    """
    tiles.SIZE = 64
    # Larger sets have their consensus, estimates of K and groups to learn from a sample.
    sample.LARGEST, large_families.MOST = 100, 150
    sets.keep()
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    for port, line in zip(ports, lines, strict=True):
        os.environ["MASTER_PORT"] = port
        if code := main(line.split()):
            return code
    return 0
