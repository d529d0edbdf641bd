import pytest
import torch

from clusterkit.config import Backbone, BatchNorm, Kind
from clusterkit.datasets.base import Subset
from clusterkit.methods.common import g_features
from clusterkit.methods.common.g_features import augmented_features, on_target
from clusterkit.networks.build import Architecture, SimilarityNet

CPU = torch.device("cpu")


@pytest.fixture
def g() -> SimilarityNet:
    torch.manual_seed(0)
    return SimilarityNet(Architecture(Backbone.MLP, (6,), (0.0,) * 6, (1.0,) * 6, 16)).eval()


def vectors(count: int) -> Subset:
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(1)) + 2
    return Subset("all", x, torch.arange(count), None)


def test_vectors_have_one_view(g):
    subset = vectors(50)
    draw = augmented_features(g, subset, Kind.VECTORS, torch.Generator(), CPU)
    index = torch.tensor([3, 0, 3, 49])
    with torch.no_grad():
        assert torch.allclose(draw(index, torch.Generator()), g.features(subset.images[index]), atol=1e-6)


def test_each_item_is_drawn_in_several_views(monkeypatch):
    torch.manual_seed(0)
    g = SimilarityNet(Architecture(Backbone.CONV4, (1, 16, 16), (0.1,), (0.3,), 16)).eval()
    x = torch.randint(0, 256, (7, 1, 16, 16), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    subset = Subset("all", x, torch.arange(7), None)
    draw = augmented_features(g, subset, Kind.CHARACTERS, torch.Generator().manual_seed(3), CPU)
    generator = torch.Generator().manual_seed(4)
    drawn = torch.stack([draw(torch.tensor([5]), generator)[0] for _ in range(200)])
    assert len(drawn.unique(dim=0)) == g_features.VIEWS
    monkeypatch.setattr(g_features, "ROOM", 4 * 7 * g.backbone.features * 3 + 1)
    draw = augmented_features(g, subset, Kind.CHARACTERS, torch.Generator().manual_seed(3), CPU)
    drawn = torch.stack([draw(torch.tensor([5]), generator)[0] for _ in range(60)])
    assert len(drawn.unique(dim=0)) == 3


def test_g_normalises_the_target_by_its_own_statistics_and_stays_as_it_was(g):
    subset = vectors(200)
    before = {name: value.clone() for name, value in g.state_dict().items()}
    moved = on_target(g, subset, BatchNorm.TARGET, CPU)
    norm = next(module for module in moved.backbone.modules() if isinstance(module, torch.nn.BatchNorm1d))
    first = next(module for module in moved.backbone.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        assert torch.allclose(norm.running_mean, first(subset.images).mean(0), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in g.state_dict().items())
    same = on_target(g, subset, BatchNorm.SOURCE, CPU)
    assert all(torch.equal(value, before[name]) for name, value in same.state_dict().items())
