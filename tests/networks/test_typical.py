"""What a network's file holds of its clusters, and how unlike them an item is."""

import pytest
import torch

from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.predict import represent
from clusterkit.networks.typical import SUREST, UNKNOWN, Typical, read_typical, typical_of

CPU = torch.device("cpu")


@pytest.fixture
def network() -> ClusterNet:
    torch.manual_seed(0)
    return ClusterNet(Architecture(Backbone.MLP, (2,), (0.0, 0.0), (1.0, 1.0), 8, 5)).eval()


def subset(items: torch.Tensor) -> Subset:
    return Subset("all", items, torch.arange(len(items)), None)


@pytest.fixture
def points() -> Subset:
    torch.manual_seed(1)
    return subset(torch.tensor([[3.0, 0.0], [0.0, 3.0]]).repeat_interleave(40, 0) + torch.randn(80, 2) / 4)


def unlike(network: ClusterNet, typical: Typical, items: torch.Tensor) -> torch.Tensor:
    [(hidden, prob)] = represent(network, subset(items), CPU)
    return typical.unlike(hidden, prob)


def test_means_and_usual_distances_are_those_of_the_clusters(network: ClusterNet, points: Subset) -> None:
    typical = typical_of(network, points, CPU)
    [(hidden, prob)] = represent(network, points, CPU)
    cluster = prob.argmax(1)
    assert typical.mean is not None
    assert typical.distance is not None
    for number in range(5):
        members = hidden[cluster == number]
        if len(members) == 0:
            assert typical.distance[number] == 0
            continue
        torch.testing.assert_close(typical.mean[number], members.mean(0))
        assert typical.distance[number] > 0
    far = (hidden - typical.mean[cluster]).norm(dim=1) / typical.distance[cluster]
    assert 0.9 <= (far <= 1).float().mean() < 1
    assert float(typical.probability) <= SUREST


def test_items_of_the_clusters_are_like_them_and_others_are_not(network: ClusterNet, points: Subset) -> None:
    typical = typical_of(network, points, CPU)
    assert (unlike(network, typical, points.images) <= 1).float().mean() > 0.9  # type: ignore[arg-type]
    assert bool((unlike(network, typical, torch.tensor([[-30.0, -30.0], [40.0, 40.0]])) > 1).all())


def test_unlikeness_is_the_mean_of_two_ratios() -> None:
    typical = Typical(torch.tensor(0.8), torch.tensor([[0.0, 0], [9, 9]]), torch.tensor([2.0, 0]))
    hidden = torch.tensor([[4.0, 0], [0, 1]])
    prob = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    # The second output had no items: an item with this output has no probability, and the first cluster is the nearest.
    torch.testing.assert_close(typical.unlike(hidden, prob), torch.tensor([(2 + 0.5) / 2, (0.5 + 5) / 2]))
    torch.testing.assert_close(UNKNOWN.unlike(hidden, prob), torch.tensor([0.2, 0.4]))


def test_an_item_alone_in_its_cluster_gets_the_spread_of_the_set(network: ClusterNet) -> None:
    for count in (1, 2, 3):
        typical = typical_of(network, subset(torch.randn(count, 2) * 5), CPU)
        values = unlike(network, typical, torch.randn(4, 2) * 50)
        assert bool(values.isfinite().all())
        assert bool((values >= 0).all())


def test_equal_items_are_like_their_cluster(network: ClusterNet) -> None:
    typical = typical_of(network, subset(torch.ones(12, 2)), CPU)
    assert float(unlike(network, typical, torch.ones(1, 2))) <= 1
    assert float(unlike(network, typical, torch.ones(1, 2) * 9)) > 1


def test_tensors_are_read_again_and_a_part_of_them_is_damage(network: ClusterNet, points: Subset) -> None:
    state = typical_of(network, points, CPU).tensors("a.b/c")
    assert set(state) == {f"typical/a.b/c/{name}" for name in ("mean", "distance", "probability")}
    again = read_typical(state, "a.b/c", network)
    for name, value in again.tensors("a.b/c").items():
        assert torch.equal(value, state[name])
    assert read_typical(state, "other", network) is UNKNOWN
    for name, value in state.items():
        for wrong in (value[None], torch.full_like(value, torch.inf)):
            with pytest.raises(ValueError, match="another shape, or not finite"):
                read_typical({**state, name: wrong}, "a.b/c", network)
    del state["typical/a.b/c/mean"]
    with pytest.raises(KeyError):
        read_typical(state, "a.b/c", network)
