import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.networks import pair_logits
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.simulated import SimulatedPairs
from clusterkit.pairs.source import CERTAIN

N, H = 9, 5
POSITIONS = st.lists(st.integers(0, N - 1), min_size=1, max_size=N).map(torch.tensor)


def factors(seed: int = 0) -> FactoredPairs:
    generator = torch.Generator().manual_seed(seed)
    u, v = (torch.randn(N, H, generator=generator) for _ in range(2))
    return FactoredPairs(u, v, torch.randn(H, generator=generator), torch.tensor(0.3))


def explicit(pairs: FactoredPairs) -> torch.Tensor:
    """The symmetric logits (N, N), pair by pair in float64."""
    u, v, weight = pairs.u.double(), pairs.v.double(), pairs.weight.double()
    out = torch.zeros(N, N, dtype=torch.float64)
    for i in range(N):
        for j in range(N):
            forth = sum(weight[h] * max(u[i, h] + v[j, h], 0.0) for h in range(H)) + float(pairs.bias)
            back = sum(weight[h] * max(u[j, h] + v[i, h], 0.0) for h in range(H)) + float(pairs.bias)
            out[i, j] = (forth + back) / 2
    return out


@given(POSITIONS, POSITIONS)
def test_factored_pairs_are_the_symmetric_mean_of_both_orders(rows: torch.Tensor, columns: torch.Tensor) -> None:
    pairs = factors()
    found = pairs.logits(rows, columns)
    torch.testing.assert_close(found, explicit(pairs)[rows][:, columns].float())
    torch.testing.assert_close(found, pairs.logits(columns, rows).T)


def test_factored_pairs_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, every = factors(), torch.arange(N)
    assert len(pairs) == N
    whole = pairs.logits(every, every)
    for elements in (1, 2 * N * H):
        monkeypatch.setattr(pair_logits, "BLOCK_ELEMENTS", elements)
        torch.testing.assert_close(pairs.logits(every, every), whole)


@given(POSITIONS, POSITIONS)
def test_dense_pairs_are_the_entries_of_the_matrix(rows: torch.Tensor, columns: torch.Tensor) -> None:
    logit = explicit(factors()).half()
    found = DensePairs(logit).logits(rows, columns)
    assert found.dtype == torch.float32
    assert found.tolist() == [[float(logit[i, j]) for j in columns] for i in rows]
    found.zero_()
    assert logit.any(), "a block is a copy"


@given(POSITIONS, POSITIONS, st.lists(st.integers(0, 3), min_size=N, max_size=N))
def test_label_pairs_are_certain(rows: torch.Tensor, columns: torch.Tensor, labels: list[int]) -> None:
    pairs = LabelPairs(torch.tensor(labels)).to(torch.device("cpu"))
    assert len(pairs) == N
    expected = [[CERTAIN if labels[i] == labels[j] else -CERTAIN for j in columns] for i in rows]
    assert pairs.logits(rows, columns).tolist() == expected


@pytest.mark.parametrize("exact", [LabelPairs, lambda labels: SimulatedPairs(labels, 1, 1, 1, 0)])
def test_pairs_of_an_unlabelled_item_are_unknown(exact) -> None:
    found = exact(torch.tensor([0, -1, 0, 1])).logits(torch.arange(4), torch.arange(4))
    assert found.isnan().tolist() == [[i == 1 or j == 1 for j in range(4)] for i in range(4)]
    assert (found[0, 2], found[0, 3], found[3, 3]) == (CERTAIN, -CERTAIN, CERTAIN)


def test_a_source_moves_to_a_device_with_all_it_holds() -> None:
    meta, some = torch.device("meta"), torch.arange(3, device="meta")
    for pairs in (factors(), DensePairs(explicit(factors()).half()), LabelPairs(torch.arange(N))):
        assert len(pairs.to(meta)) == N
        assert pairs.to(meta).logits(some, some).device == meta
        found = pairs.to(torch.device("cpu")).logits(some.new_zeros(2, device="cpu"), torch.arange(N))
        assert torch.equal(found, pairs.logits(torch.zeros(2, dtype=torch.int64), torch.arange(N)))
