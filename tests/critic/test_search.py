import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from clusterkit.config import Recipe
from clusterkit.critic.coordinates import coordinates
from clusterkit.critic.embedding import PointSet, point_set
from clusterkit.critic.fakes import CHANGES, ari_of, fakes
from clusterkit.critic.local import halves, improve, merges, pieces, splits
from clusterkit.critic.network import Critic, CriticArchitecture
from clusterkit.critic.search import Search, clusterings, cross_entropy, extended, search, weight_count
from clusterkit.critic.starts import starts
from clusterkit.metrics.clustering import accuracy, ari

QUICK = Search(k=6, population=12, iterations=4)


def blobs(count: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    angle = labels * 2 * torch.pi / 3
    return 5 * torch.stack([angle.cos(), angle.sin()], 1) + torch.randn(count, 2, generator=generator), labels


class Judge(Critic):
    """A critic whose scores are the agreement with the truth."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__(CriticArchitecture(width=2))
        self.truth = truth

    def scores(self, points: PointSet, assignments: Tensor) -> Tensor:
        return ari_of(assignments, self.truth).float()


def test_networks_of_a_population_are_those_of_one_at_a_time() -> None:
    x = torch.randn(20, 3)
    weights = torch.randn(5, weight_count(3, 7))
    for row, found in zip(weights.double(), clusterings(x, weights, 7), strict=True):
        inner, outer = row[:64].view(4, 16), row[64:].view(17, 7)
        hidden = (x.double() @ inner[:3] + inner[3]).relu()
        assert torch.equal((hidden @ outer[:16] + outer[16]).argmax(1), found)


def test_the_cross_entropy_method_keeps_the_best_it_has_met_and_gets_better() -> None:
    x, _ = blobs(200)
    truth = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0)
    judge = Judge(truth)
    points = judge.read(x)
    efforts = [Search(k=6, population=20, iterations=count) for count in (1, 5, 20)]
    scores = [cross_entropy(judge, points, effort, 3).score for effort in efforts]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]
    found = cross_entropy(judge, points, QUICK, 3)
    assert found.weights is not None
    again = clusterings(points.x, found.weights[None], QUICK.k)[0]
    assert ari(found.assignment.numpy(), again.numpy()) == 1
    assert found.score == pytest.approx(ari(again.numpy(), judge.truth.numpy()), abs=1e-6)


def test_the_best_of_several_restarts_is_found() -> None:
    x, truth = blobs()
    judge = Judge(truth)
    efforts = [
        dataclasses.replace(QUICK, recipe=Recipe.PAPER, population=2, iterations=1, restarts=count)
        for count in (1, 4, 8)
    ]
    scores = [search(judge, judge.read(x), effort, 0).score for effort in efforts]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_the_local_search_reaches_the_truth_that_a_critic_knows() -> None:
    x, truth = blobs()
    judge = Judge(truth)
    points = judge.read(x)
    for start in (torch.zeros(60, dtype=torch.int64), torch.arange(60) % 5, truth.roll(1)):
        found, score = improve(judge, points, start, 6)
        assert accuracy(found.numpy(), truth.numpy()) > 0.95
        assert score == pytest.approx(ari(found.numpy(), truth.numpy()), abs=1e-6)


def test_a_search_is_at_least_as_good_as_its_starts_and_repeats_itself() -> None:
    x, _ = blobs()
    critic = Critic(CriticArchitecture(width=2))
    points = critic.read(x)
    found, again = search(critic, points, QUICK, 1), search(critic, points, QUICK, 1)
    assert torch.equal(found.assignment, again.assignment)
    assert found.score >= float(critic.scores(points, starts(points, 6, 0)).max()) - 1e-6
    assert int(found.assignment.max()) + 1 <= 6
    assert found.score == pytest.approx(float(critic.scores(points, found.assignment[None])), abs=1e-5)
    printed = search(critic, points, dataclasses.replace(QUICK, recipe=Recipe.PAPER, restarts=1), 1)
    assert printed.weights is not None
    assert printed.score <= found.score


@pytest.mark.parametrize("x", [torch.zeros(1, 2), torch.zeros(7, 2), torch.eye(2), torch.arange(3.0)[:, None]])
@pytest.mark.parametrize("k", [1, 3])
def test_sets_of_few_or_equal_points_can_be_searched(x: Tensor, k: int) -> None:
    critic = Critic(CriticArchitecture(width=2))
    found = search(critic, critic.read(x), dataclasses.replace(QUICK, k=k), 0)
    assert found.assignment.shape == (len(x),)
    assert int(found.assignment.max()) < k


def test_starts_have_rings_and_no_two_equal_ones() -> None:
    angle = torch.arange(40) * 2 * torch.pi / 40
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    points = point_set(torch.cat([ring, 0.3 * ring]))
    found = starts(points, 6, 0)
    truth = torch.arange(80) // 40
    assert max(ari(row.numpy(), truth.numpy()) for row in found) == 1
    assert len({row.numpy().tobytes() for row in found}) == len(found)
    assert int(found.max()) < 6


def test_merges_join_the_nearest_first_and_splits_cut_one_cluster() -> None:
    x = torch.tensor([[0.0], [0.1], [1.0], [1.1], [9.0], [9.5]])
    points, assignment = PointSet(x, torch.tensor([[1], [0], [3], [2], [5], [4]])), torch.tensor([0, 0, 0, 0, 1, 2])
    assert merges(points, assignment).tolist()[0] == [0, 0, 0, 0, 1, 1]
    assert len(merges(points, assignment)) == 3
    assert halves(x, assignment).tolist() in ([0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0])
    assert pieces(points.near, assignment).tolist() == [0, 0, 1, 1, 0, 0]
    assert sorted(splits(points, assignment, 9).tolist()) == [[0, 0, 3, 3, 1, 2]] * 2


def test_ari_of_a_population_is_that_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (25,), generator=generator)
    rows = torch.cat([torch.randint(5, (6, 25), generator=generator), labels[None], torch.zeros_like(labels)[None]])
    wanted = [ari(row.numpy(), labels.numpy()) for row in rows]
    np.testing.assert_allclose(ari_of(rows, labels), wanted, atol=1e-12)
    assert ari_of(labels[None] * 0, labels * 0).item() == 1


def test_fakes_are_numbered_from_zero_and_mostly_differ_from_the_truth() -> None:
    x, truth = blobs()
    found = fakes(point_set(x), truth, 50, torch.Generator().manual_seed(0))
    assert all(row.unique().tolist() == list(range(int(row.max()) + 1)) for row in found)
    assert (ari_of(found, truth) < 1).float().mean() > 0.9
    assert {int(row.max()) + 1 for row in found} >= {1, 2, 3, 4}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_leave_alone_what_they_cannot_change(change: object) -> None:
    one = torch.zeros(1, dtype=torch.int64)
    assert torch.equal(change(point_set(torch.zeros(1, 2)), one, torch.Generator().manual_seed(0)), one)


@pytest.mark.parametrize("recipe", Recipe)
def test_what_is_found_on_a_sample_extends_to_other_points(recipe: Recipe) -> None:
    x, truth = blobs(90)
    every = coordinates(x, 2)
    sample = PointSet(every[:60], point_set(every[:60]).near)
    found = search(Judge(truth[:60]), sample, Search(k=6, recipe=recipe, population=60, iterations=20), 0)
    again = extended(found, sample, every[:60], 6)
    assert ari(again.numpy(), found.assignment.numpy()) > 0.9
    rest = extended(found, sample, every[60:], 6)
    assert abs(accuracy(rest.numpy(), truth[60:].numpy()) - accuracy(again.numpy(), truth[:60].numpy())) < 0.1


def test_a_search_has_at_most_k_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    islands = torch.arange(8).repeat_interleave(12)
    x = 9 * torch.randn(8, 2, generator=generator)[islands] + 0.01 * torch.randn(96, 2, generator=generator)
    judge = Judge(islands)
    points = judge.read(x)
    for k in (2, 3, 5):
        assert int(improve(judge, points, torch.zeros(96, dtype=torch.int64), k)[0].max()) < k
        assert int(search(judge, points, Search(k=k, population=10, iterations=2), 0).assignment.max()) < k
