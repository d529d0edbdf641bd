import pytest
import torch

from clusterkit.errors import InputError
from clusterkit.metrics.n_way import n_way
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.labels import LabelPairs

LABELS = torch.arange(25).repeat_interleave(4)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("ways", [2, 5, 20])
def test_a_perfect_similarity_is_always_right_and_a_random_one_by_chance(ways: int) -> None:
    logit = torch.randn(len(LABELS), len(LABELS), generator=generator())
    assert n_way(LabelPairs(LABELS), LABELS, ways, 100, generator()) == 1.0
    assert n_way(DensePairs(-LabelPairs(LABELS).logits(*2 * [torch.arange(100)])), LABELS, ways, 100, generator()) == 0
    share = n_way(DensePairs(logit), LABELS, ways, 1000, generator())
    assert abs(share - 1 / ways) < 4 * (1 / ways * (1 - 1 / ways) / 1000) ** 0.5


def test_a_similarity_that_says_nothing_is_never_right() -> None:
    assert n_way(DensePairs(torch.zeros(100, 100)), LABELS, 5, 50, generator()) == 0


def test_the_generator_decides() -> None:
    pairs = DensePairs(torch.randn(100, 100, generator=generator()))
    assert n_way(pairs, LABELS, 5, 200, generator()) == n_way(pairs, LABELS, 5, 200, generator())


def test_classes_of_one_item_are_exemplars_only() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4, 4])
    asked = []

    class Recorded(LabelPairs):
        def logits(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            asked.append((rows.tolist(), labels[columns].tolist(), columns.tolist()))
            return super().logits(rows, columns)

    assert n_way(Recorded(labels), labels, 5, 20, generator()) == 1.0
    for query, classes, exemplars in asked:
        assert labels[query].tolist() == [4]
        assert sorted(classes) == [0, 1, 2, 3, 4], "one exemplar a class"
        assert query[0] not in exemplars


def test_classes_of_one_item_each_allow_no_test() -> None:
    with pytest.raises(InputError, match="at least two items"):
        n_way(LabelPairs(torch.arange(6)), torch.arange(6), 5, 10, generator())
