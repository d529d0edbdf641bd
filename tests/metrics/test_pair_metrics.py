import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.metrics import pairs as pair_metrics
from clusterkit.metrics.pairs import health, pair_scores
from clusterkit.pairs import source
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.labels import LabelPairs

N = 12


def random_factors(seed: int) -> FactoredPairs:
    generator = torch.Generator().manual_seed(seed)
    u, v = (torch.randn(N, 3, generator=generator) for _ in range(2))
    return FactoredPairs(u, v, torch.randn(3, generator=generator), torch.randn((), generator=generator))


@given(st.integers(0, 10_000))
def test_scores_are_counts_of_pairs_without_self_pairs(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logit = torch.randn(N, N, generator=generator)
    logit = (logit + logit.T).fill_diagonal_(5)
    labels = torch.randint(3, (N,), generator=generator)
    right = {True: 0, False: 0}
    predicted, actual = dict(right), dict(right)
    for i in range(N):
        for j in range(N):
            if i != j:
                says, is_so = bool(logit[i, j] > 0), bool(labels[i] == labels[j])
                predicted[says] += 1
                actual[is_so] += 1
                right[is_so] += says == is_so
    scores = pair_scores(DensePairs(logit), labels)
    precision, recall = (right[True] / max(1, of[True]) for of in (predicted, actual))
    assert scores["similar_precision"] == pytest.approx(precision)
    assert scores["similar_recall"] == pytest.approx(recall)
    assert scores["similar_f1"] == pytest.approx(2 * precision * recall / max(precision + recall, 1e-9))
    assert scores["dissimilar_precision"] == pytest.approx(right[False] / max(1, predicted[False]))
    assert scores["dissimilar_recall"] == pytest.approx(right[False] / max(1, actual[False]))


def test_scores_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(N) % 4
    pairs = random_factors(1)
    whole = pair_scores(pairs, labels)
    monkeypatch.setattr(source, "AT_A_TIME", 3 * N)
    assert [len(block) for block in source.in_blocks(N, 100)][:2] == [3, 3]
    assert pair_scores(pairs, labels) == whole
    monkeypatch.setattr(pair_metrics, "BLOCK", 2)
    assert pair_scores(pairs, labels) == whole
    assert set(pair_scores(LabelPairs(labels), labels).values()) == {1.0}


def test_scores_of_nothing_are_zero() -> None:
    nothing = pair_scores(DensePairs(torch.full((3, 3), -1.0)), torch.arange(3))
    assert nothing["similar_precision"] == nothing["similar_recall"] == nothing["similar_f1"] == 0
    assert nothing["dissimilar_precision"] == nothing["dissimilar_recall"] == 1


@pytest.mark.parametrize("seed", range(6))
def test_health_is_counts_of_pairs_and_triples(seed: int) -> None:
    pairs = random_factors(seed)
    every = torch.arange(N)
    ordered = pairs.ordered_logits(every, every)
    similar = pairs.logits(every, every) > 0
    alike = unlike = paths = broken = 0
    for i in range(N):
        for j in range(N):
            if i == j:
                continue
            alike += bool(similar[i, j])
            unlike += bool((ordered[i, j] > 0) != (ordered[j, i] > 0))
            for k in range(N):
                if k not in (i, j) and similar[i, j] and similar[j, k]:
                    paths += 1
                    broken += not similar[i, k]
    found = health(pairs, torch.Generator().manual_seed(0))
    assert found["similar_rate"] == pytest.approx(alike / (N * (N - 1)))
    assert found["asymmetry"] == pytest.approx(unlike / (N * (N - 1)))
    assert found["transitivity_violations"] == pytest.approx(broken / paths if paths else 0.0)


def test_health_of_a_large_set_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_metrics, "SAMPLE", 5)
    some = torch.randperm(N, generator=torch.Generator().manual_seed(3))[:5]
    pairs = random_factors(2)
    part = FactoredPairs(pairs.u[some], pairs.v[some], pairs.weight, pairs.bias)
    expected = health(part, torch.Generator().manual_seed(0))
    assert health(pairs, torch.Generator().manual_seed(3)) == pytest.approx(expected)


def test_nothing_similar_is_healthy_in_triples() -> None:
    pairs = FactoredPairs(torch.zeros(4, 1), torch.zeros(4, 1), torch.ones(1), torch.tensor(-1.0))
    found = health(pairs, torch.Generator())
    assert set(found.values()) == {0.0}
