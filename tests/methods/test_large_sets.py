"""Consensus of sets of which not all pairs are compared, with small limits: beside the consensus of all pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.hdf5 import read_header
from clusterkit.methods import consensus
from clusterkit.methods.common import large_families, rounds, sample
from clusterkit.methods.common.consensus import clusterings
from clusterkit.methods.common.families import by_ward, cut, families, memberships
from clusterkit.methods.common.large_consensus import extended_consensus
from clusterkit.methods.common.large_families import extended, family_memberships
from clusterkit.methods.common.points import shares_of
from clusterkit.metrics.clustering import accuracy
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.members import MemberPairs
from tests.problems import case

Array = np.ndarray


def blobs(sizes: list[int], spread: float = 0.25, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(len(sizes)).repeat(sizes))
    return np.eye(12)[labels] + spread * rng.normal(size=(len(labels), 12)), labels


@pytest.mark.parametrize(("largest", "most"), [(60, 1000), (60, 90)])
def test_a_set_beyond_the_limits_has_the_groups_of_the_whole_one(
    largest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, labels = blobs([60, 50, 30, 16], spread=0.15)
    shares = families(points, 4, 0)
    whole = accuracy(cut(shares, 4), labels)
    monkeypatch.setattr(sample, "LARGEST", largest)
    monkeypatch.setattr(large_families, "MOST", most)
    prob, compared = family_memberships(points, 4, 0)
    assert compared == 60
    assert prob.shape == (156, 4)
    np.testing.assert_allclose(prob.sum(1), 1, rtol=1e-5)
    assert accuracy(prob.argmax(1), labels) == whole == 1.0
    order = np.random.default_rng(1).permutation(len(points))
    np.testing.assert_allclose(family_memberships(points[order], 4, 0)[0], prob[order], atol=1e-6)
    np.testing.assert_allclose(family_memberships(1e-9 * points, 4, 0)[0].argmax(1), prob.argmax(1))


def test_a_group_of_few_items_of_a_sample_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = blobs([80, 70, 60, 10], spread=0.1)
    monkeypatch.setattr(sample, "LARGEST", 100)
    monkeypatch.setattr(large_families, "MOST", 110)
    assert len(np.unique(family_memberships(points, 4, 0)[0].argmax(1))) == 4


def test_many_groups_have_a_larger_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 40
    points = rng.normal(size=(40, 12))[labels] + 0.1 * rng.normal(size=(400, 12))
    monkeypatch.setattr(sample, "LARGEST", 20)
    monkeypatch.setattr(large_families, "MOST", 30)
    assert sample.compared(400, 40) == 320
    prob = family_memberships(points, 40, 0)[0]
    assert accuracy(prob.argmax(1), labels) > 0.99
    for name in ("EACH", "AT_A_TIME"):
        monkeypatch.setattr(large_families, name, 9)
    assert accuracy(family_memberships(points, 40, 0)[0].argmax(1), labels) > 0.97


def test_an_item_far_from_all_others_leaves_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = blobs([60, 50, 30], spread=0.05)
    monkeypatch.setattr(sample, "LARGEST", 60)
    others = np.arange(140) != 7
    for far in (1e7, 3e38):
        points[7] = far
        assert accuracy(family_memberships(points, 4, 0)[0].argmax(1)[others], labels[others]) > 0.95


def test_fewer_groups_than_k_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(consensus, "families", lambda z, k, seed: np.ones((len(z), len(z)), np.float32))
    assert case("consensus", torch.randn(9, 3), None, 3, Path()).clustered().clusters == 1
    assert "cluster all: 1 clusters instead of 3" in caplog.text


def test_equal_items_of_a_large_set_are_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LARGEST", 20)
    labels = np.arange(60) % 3
    prob, compared = family_memberships(np.eye(3)[labels], 3, 0)
    assert accuracy(prob.argmax(1), labels) == 1.0
    assert compared == 0
    assert not family_memberships(np.zeros((60, 3)), 3, 0)[0].argmax(1).any()


def test_linkage_of_a_large_set_reads_another_sample_for_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(90, 4))
    assert np.array_equal(by_ward(points, 3, 0), by_ward(points, 3, 1))
    monkeypatch.setattr(sample, "LARGEST", 30)
    first = by_ward(points, 3, 0)
    assert np.array_equal(first, by_ward(points, 3, 0))
    assert not np.array_equal(first, by_ward(points, 3, 1))


def test_shares_with_a_sample_are_those_of_the_matrix_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    members = [rng.integers(0, 3, 30).astype(np.int32) for _ in range(5)]
    chosen, groups = np.arange(0, 30, 2), np.arange(15, dtype=np.int32) % 3
    with_sample = shares_of(members, np.float32)[:, chosen]
    np.testing.assert_allclose(extended(members, chosen, groups, 3), memberships(with_sample, groups, 3), rtol=1e-5)


def test_pairs_by_clusterings_have_the_logit_of_their_share() -> None:
    groups = torch.tensor([[0, 1], [0, 2], [1, 2]])
    positions = torch.arange(3)
    shares = torch.tensor([[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]], dtype=torch.float64)
    logits = MemberPairs(groups).logits(positions, positions)
    torch.testing.assert_close(logits, shares.logit(1e-6).float())


def test_the_consensus_of_a_sample_mends_the_pairs_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(4).repeat([80, 60, 40, 20]))
    alike = labels[:, None] == labels
    wrong = np.triu(rng.random(alike.shape) < 0.1, 1)
    pairs = DensePairs(torch.from_numpy(np.where(alike ^ wrong ^ wrong.T, 4.0, -4.0)))
    monkeypatch.setattr(sample, "LARGEST", 80)
    mended, compared = extended_consensus(pairs, 0)
    assert compared == 80
    every = torch.arange(200)
    assert ((mended.logits(every, every).numpy() > 0) == alike).mean() > 0.99
    chosen = torch.from_numpy(sample.sampled(200, 0))
    groups = clusterings(pairs.logits(chosen, chosen).double().numpy(), 0)[1]
    assert isinstance(mended, MemberPairs)
    np.testing.assert_array_equal(mended.groups[chosen].numpy(), groups)


def test_pairs_without_groups_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LARGEST", 10)
    pairs = DensePairs(torch.full((30, 30), -9.0))
    assert extended_consensus(pairs, 0) == (pairs, 0)


def small_groups(count: int, size: int) -> Array:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(count, 64)).repeat(size, 0) + 0.5 * rng.normal(size=(count * size, 64))
    rows: Array = points / np.linalg.norm(points, axis=1, keepdims=True)
    return rows


def test_a_sample_grows_until_its_groups_have_enough_items(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = blobs([30] * 12, spread=0.05)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    whole = rounds.count_in_sample(points, 0)[0]
    monkeypatch.setattr(sample, "LARGEST", 40)
    monkeypatch.setattr(rounds, "ENOUGH", 0)
    monkeypatch.setattr(rounds, "APART", 99)
    assert rounds.count_in_sample(points, 0)[0]["communities"] < 10
    monkeypatch.setattr(rounds, "ENOUGH", 25)
    estimates, items = rounds.count_in_sample(points, 0)
    assert 40 < items <= 360
    assert abs(estimates["communities"] - whole["communities"]) <= 1
    monkeypatch.setattr(sample, "LARGEST", 300)
    monkeypatch.setattr(rounds, "ENOUGH", 5)
    assert rounds.count_in_sample(points, 0)[1] == 300


def test_one_graph_that_loses_small_groups_does_not_keep_the_sample_small(monkeypatch: pytest.MonkeyPatch) -> None:
    points = small_groups(60, 15)
    for module, name, value in ((sample, "LARGEST", 240), (rounds, "ENOUGH", 20), (rounds, "APART", 99)):
        monkeypatch.setattr(module, name, value)
    few = rounds.counted(rounds.distinct(points)[sample.sampled(len(points), 0)], 0)
    assert few["rounds-0.45"] == 1
    assert 20 * few["communities"] < 240 < 20 * few["rounds-0.2"]
    assert rounds.count_in_sample(points, 0)[0]["communities"] == 60


def test_a_sample_with_hardly_two_items_of_a_group_is_not_taken_for_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    points = small_groups(60, 15)
    monkeypatch.setattr(sample, "LARGEST", 120)
    assert set(rounds.counted(rounds.distinct(points)[sample.sampled(len(points), 0)], 0).values()) == {1}
    assert rounds.count_in_sample(points, 0)[0]["communities"] == 60


def test_estimates_that_disagree_have_a_larger_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, disagree = list[int](), {"rounds-0.2": 8, "rounds-0.45": 5, "communities": 6}
    monkeypatch.setattr(rounds, "counted", lambda points, seed, share: sizes.append(len(points)) or disagree)
    monkeypatch.setattr(sample, "LARGEST", 400)
    points = small_groups(60, 15)
    assert rounds.count_in_sample(points, 0) == (disagree, 900)
    assert sizes == [400, 800, 900]
    disagree["rounds-0.45"] = 6
    assert rounds.count_in_sample(points, 0)[1] == 400


def test_a_sample_stops_growing_and_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    estimates = {"rounds-0.2": 9, "rounds-0.45": 4, "communities": 6}
    monkeypatch.setattr(rounds, "counted", lambda points, seed, share: estimates)
    for module, name, value in ((sample, "LARGEST", 100), (rounds, "SLOW", 300), (rounds, "MOST_ITEMS", 500)):
        monkeypatch.setattr(module, name, value)
    with caplog.at_level("INFO", "clusterkit"):
        assert rounds.count_in_sample(small_groups(60, 15), 0) == (estimates, 500)
    assert caplog.messages == [
        "estimate-k: counting groups again, in 360 items; it can take minutes",
        "estimate-k: counting groups again, in 500 items; it can take minutes",
        "estimate-k: a sample of 500 items, the most that are compared, shows from 4 to 9 groups; a larger one might "
        "show more",
    ]


def test_neighbours_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = blobs([20, 20])
    whole = rounds.neighbours(points, 5)
    monkeypatch.setattr(rounds, "BLOCK", 7 * len(points))
    for part, of_whole in zip(rounds.neighbours(points, 5), whole, strict=True):
        np.testing.assert_allclose(part, of_whole)


def test_a_graph_that_falls_apart_gives_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = blobs([60, 50, 30], spread=0.001)
    monkeypatch.setattr(sample, "LARGEST", 60)
    assert accuracy(family_memberships(points, 3, 0)[0].argmax(1), labels) == 1.0


def test_a_large_clustering_says_how_many_items_it_compared(points: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LARGEST", 100)
    done = cli("cluster synthetic:blobs --method consensus --k 3")
    assert done.code == 0
    assert "the consensus compared a random sample of 100 items" in done.err
    header = read_header(points / "assignments.h5", "assignments")
    assert header.extra["compared"] == {"all": 100}
    assert cli("cluster synthetic:blobs --method consensus --k 20").code == 0
    assert read_header(points / "assignments.h5", "assignments").extra["compared"] == {"all": 160}
    np.savez("few.npz", x=np.eye(4, 8, dtype=np.float32).repeat(50, 0))
    done = cli("cluster arrays:few.npz --method consensus --k 3")
    assert done.code == 0
    assert "random sample" not in done.err
    assert "compared" not in read_header(points / "assignments.h5", "assignments").extra
    assert cli("cluster synthetic:blobs --method kmeans --k 3").code == 0
    assert "compared" not in read_header(points / "assignments.h5", "assignments").extra
