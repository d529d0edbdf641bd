from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.sampling import SHARE, ClassBalanced, Endless, Linked, Shuffled


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_shuffled_covers_all_items_and_fills_up_the_last_batch(count: int, batch: int, seed: int) -> None:
    batch = min(batch, count)
    sampler = Shuffled(count, batch)
    batches = [index.tolist() for index in sampler.epoch(generator(seed))]
    assert [len(index) for index in batches] == [batch] * sampler.steps
    everything = [item for index in batches for item in index]
    assert sorted(everything[:count]) == list(range(count)), "each item once"
    assert everything[count:] == everything[: len(everything) - count], "then from the start"
    assert all(len(set(index)) == batch for index in batches), "no item twice in a batch"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(0, 100))
def test_no_endless_batch_holds_an_item_twice_and_each_order_holds_all(
    count: int, batch: int, steps: int, seed: int
) -> None:
    batch = min(batch, count)
    batches = [index.tolist() for index in Endless(count, batch, steps).epoch(generator(seed))]
    assert [len(set(index)) for index in batches] == [batch] * steps
    everything = [item for index in batches for item in index]
    for start in range(0, len(everything), count):
        order = everything[start : start + count]
        assert len(set(order)) == len(order), "each item once an order"


def test_the_generator_decides_the_endless_batches() -> None:
    first, again, other = (torch.cat(list(Endless(10, 7, 9).epoch(generator(seed)))).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


LABELS = torch.tensor([-1] * 5 + [c for c in range(12) for _ in range(8)])


def test_batches_hold_so_many_images_of_so_many_classes_side_by_side() -> None:
    sampler = ClassBalanced(LABELS, [torch.arange(12)], classes=4, images=3, steps=30)
    seen: Counter[int] = Counter()
    for index in sampler.epoch(generator()):
        labels = LABELS[index].reshape(4, 3)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0].tolist())) == 4
        assert len(set(index.tolist())) == 12
        seen.update(index.tolist())
    assert sum(seen.values()) == 30 * 12
    assert (LABELS[list(seen)] >= 0).all(), "items without a label never appear"
    assert set(LABELS[list(seen)].tolist()) == set(range(12))


def test_every_other_batch_comes_from_one_group() -> None:
    groups = [torch.arange(0, 5), torch.arange(5, 10), torch.arange(10, 12)]
    sampler = ClassBalanced(LABELS, groups, classes=4, images=2, steps=60)
    drawn = [{int(label) // 5 for label in LABELS[index]} for index in sampler.epoch(generator())]
    assert all(len(groups) == 1 for groups in drawn[1::2])
    assert set().union(*drawn[1::2]) == {0, 1}, "a group of two classes is too small for four"
    assert any(len(groups) > 1 for groups in drawn[::2])
    assert [sampler.within(step) for step in range(4)] == [False, True, False, True]
    assert not ClassBalanced(LABELS, groups[:1], classes=4, images=2, steps=60).within(1)


def test_held_out_classes_are_in_no_group() -> None:
    labels = LABELS.masked_fill(LABELS == 3, -1)
    sampler = ClassBalanced(labels, [torch.arange(0, 6), torch.arange(6, 12)], classes=5, images=2, steps=40)
    for index in sampler.epoch(generator()):
        assert (labels[index] >= 0).all()
        assert len(index) == 10


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_small_class_gives_items_more_than_once(size: int) -> None:
    labels = torch.tensor([0] * size + [1] * 9)
    for index in ClassBalanced(labels, [], classes=2, images=5, steps=10).epoch(generator()):
        times = Counter(index[labels[index] == 0].tolist())
        assert sum(times.values()) == 5
        assert max(times.values()) <= -(-5 // size), "as evenly as can be"


def test_there_may_be_fewer_classes_than_asked_for() -> None:
    sampler = ClassBalanced(LABELS, [], classes=50, images=2, steps=3)
    assert sampler.classes == 12
    assert [len(index) for index in sampler.epoch(generator())] == [24] * 3


def test_the_generator_decides() -> None:
    sampler = ClassBalanced(LABELS, [], classes=3, images=2, steps=5)
    first, again, other = (torch.cat(list(sampler.epoch(generator(seed)))).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 100), st.booleans(), st.booleans())
def test_every_batch_holds_linked_items(count: int, size: int, seed: int, must: bool, cannot: bool) -> None:
    """Items 0 and 1 must be together, and neither can be with item 2."""
    size, count = min(size, count), max(count, 3)
    group = torch.arange(count)
    if must:
        group = torch.cat([torch.tensor([0, 0]), torch.arange(1, count - 1)])
    apart = torch.stack([group[1:2], group[2:3]], 1) if cannot else torch.empty(0, 2, dtype=torch.int64)
    base = Shuffled(count, size)
    sampler = Linked(base, group, apart)
    batches = [index.tolist() for index in sampler.epoch(generator(seed))]
    assert [len(set(index)) for index in batches] == [size] * base.steps
    assert sampler.steps == base.steps
    for index in batches:
        if cannot and (not must or size >= 2 * SHARE):
            assert 2 in index
            assert {0, 1} & set(index)
    if must and not cannot:
        shared = [{0, 1} <= set(index) for index in sampler.epoch(generator(seed))]
        assert any(shared) or len(shared) < 5 or size < SHARE
    again = [index.tolist() for index in sampler.epoch(generator(seed))]
    assert again == batches
