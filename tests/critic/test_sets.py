from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.config import Kind
from clusterkit.critic.sets import POINTS, draw
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError


def set_of(*counts: int, name: str = "made") -> Dataset:
    """Return a set with so many items of each class."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    items = Subset("all", torch.rand(len(labels), 3), torch.arange(len(labels)), labels)
    return Dataset(name, Kind.VECTORS, (items,), tuple(map(str, range(len(counts)))), "", 0)


def labels_of(subset: Subset) -> torch.Tensor:
    assert subset.labels is not None
    return subset.labels


def test_small_subsets_are_taken_whole_and_take_turns() -> None:
    data = load_dataset("blobs_bg", Path("nowhere"))
    drawn = [subset for _, subset in draw([data], 20, seed=0)]
    assert {subset.name for subset in drawn} == {subset.name for subset in data.subsets}
    for subset in drawn:
        [whole] = [each for each in data.subsets if each.name == subset.name]
        assert subset.ids.sort().values.equal(whole.ids)
        assert not subset.ids.equal(whole.ids)


def test_a_large_subset_gives_sets_of_200_points_and_of_any_number_of_classes() -> None:
    drawn = [subset for _, subset in draw([set_of(*[400] * 5)], 40, seed=0)]
    assert {len(subset) for subset in drawn} == {POINTS}
    assert {len(labels_of(subset).unique()) for subset in drawn} == {2, 3, 4, 5}
    assert len({tuple(subset.ids.tolist()) for subset in drawn}) == 40
    pool = torch.cat([subset.ids for subset in drawn]).unique()
    assert len(pool) <= 1500


@given(st.lists(st.integers(2, 500), min_size=2, max_size=60), st.integers(0, 3))
def test_every_class_of_a_small_set_has_two_items(counts: list[int], seed: int) -> None:
    for _, subset in draw([set_of(*counts)], 3, seed):
        sizes = torch.bincount(labels_of(subset))
        assert sizes[sizes > 0].min() >= 2
        assert 2 <= (sizes > 0).sum() <= 60
        assert len(subset.ids.unique()) == len(subset) <= POINTS


def test_the_seed_decides() -> None:
    data = [set_of(300, 300, 300)]
    first, same, other = ([subset.ids.tolist() for _, subset in draw(data, 4, seed)] for seed in (1, 1, 2))
    assert first == same != other


def test_a_subset_of_one_class_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    drawn = draw([set_of(50), set_of(30, 30, name="two")], 2, seed=0)
    assert [data.name for data, _ in drawn] == ["two", "two"]
    assert "1 subset has less than two classes" in caplog.text
    with pytest.raises(InputError, match="no subset has two classes"):
        draw([set_of(50, 1)], 2, seed=0)
