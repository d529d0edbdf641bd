"""The terms of each method's loss against their formulas."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from clusterkit.adaptation import ADAPTATIONS, PairOptions, with_options
from clusterkit.adaptation.joint import Domains
from clusterkit.adaptation.training import adapt
from clusterkit.config import AdaptConfig, Backbone, Kind
from clusterkit.datasets.base import Subset
from clusterkit.losses import Loss
from clusterkit.losses.ccl import ccl
from clusterkit.losses.jmmd import domain_weights, jmmd
from clusterkit.losses.kcl import kcl
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.domain import Discriminator
from clusterkit.pairs.dense import DensePairs
from clusterkit.training import Plan

SOURCE, TARGET = 12, 9
CONFIG = AdaptConfig(source="s", target="t", source_batch=SOURCE, target_batch=TARGET, learning_rate=0)


def random_domains(pairs: torch.Tensor) -> Domains:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(count, 4, generator=generator) for count in (SOURCE, TARGET))
    labels = torch.arange(SOURCE) % 3
    subsets = [Subset("all", items, torch.arange(len(items)), None) for items in (source, target)]
    return Domains(subsets[0], Kind.VECTORS, labels, subsets[1], Kind.VECTORS, DensePairs(pairs))


def fresh_network() -> ClusterNet:
    torch.manual_seed(1)
    return ClusterNet(Architecture(Backbone.MLP, (4,), (0.0,) * 4, (1.0,) * 4, 8, 3))


def symmetric() -> torch.Tensor:
    logits = torch.randn(TARGET, TARGET, generator=torch.Generator().manual_seed(2))
    return logits + logits.T


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("method", ADAPTATIONS)
def test_the_loss_is_the_sum_of_its_terms(method: str, loss: Loss, tmp_path: Path) -> None:
    """Of batches that are the whole of both sets, in any order, by a network that stays as it is."""
    terms, options = ADAPTATIONS[method].terms, PairOptions(loss=loss) if ADAPTATIONS[method].pairs else None
    pairs = symmetric()
    domains, network = random_domains(pairs), fresh_network()
    plan = Plan(
        title="adapt", epochs=1, steps=2, learning_rate=0.0, seed=0, state=tmp_path / "state.safetensors", key=""
    )
    [history] = adapt(network, domains, with_options(replace(CONFIG, method=method, options=options)), plan)

    same = fresh_network().train().requires_grad_(False)
    assert isinstance(domains.source.images, torch.Tensor)
    assert isinstance(domains.target.images, torch.Tensor)
    x = torch.cat([domains.source.images, domains.target.images])
    hidden = same.bottleneck(x if terms else x[:SOURCE])
    logits = same.outputs(hidden)
    expected = {"classification": float(F.cross_entropy(logits[:SOURCE], domains.labels))}
    if "ccn" in terms:
        similar = (pairs > 0).float()
        of_pairs = kcl(logits[SOURCE:], similar) if loss is Loss.KCL else ccl(logits[SOURCE:], similar)
        expected["cluster"] = float(of_pairs)
    if "dann" in terms:
        # The discriminator is drawn after the classifier.
        discriminator = Discriminator(8).train().requires_grad_(False)
        prob = discriminator(hidden).sigmoid()
        expected["domain"] = float(-(prob[:SOURCE].log().mean() + (1 - prob[SOURCE:]).log().mean()) / 2)
    if "jan" in terms:
        weights = domain_weights(SOURCE, TARGET, (SOURCE, TARGET), x.device)
        # Weighted with 0 in the first of two steps and by half of the ramp in the second.
        height = 0.1 if method == "jan+ccn" else 1
        expected["jmmd"] = height * float(jmmd(hidden, logits.softmax(1), weights)) * math.tanh(2.5) / 2
    assert history == pytest.approx(expected, abs=1e-5)


def test_what_is_trained_beside_the_classifier_is_no_part_of_it(tmp_path: Path) -> None:
    network = fresh_network()
    before = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    plan = Plan(
        title="adapt", epochs=1, steps=2, learning_rate=0.01, seed=0, state=tmp_path / "state.safetensors", key=""
    )
    adapt(network, random_domains(symmetric()), with_options(replace(CONFIG, method="ccn++")), plan)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == before


def test_a_discriminator_makes_the_domains_alike(tmp_path: Path) -> None:
    """Of two sets that are shifted against each other, the hidden layer of DANN shows the shift less."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 3
    centres = 3 * torch.eye(3, 4)
    source = centres[labels] + torch.randn(200, 4, generator=generator)
    target = centres[labels] + torch.randn(200, 4, generator=generator) + torch.tensor([0, 0, 0, 4.0])
    subsets = [Subset("all", items, torch.arange(200), None) for items in (source, target)]
    domains = Domains(subsets[0], Kind.VECTORS, labels, subsets[1], Kind.VECTORS, None)
    gaps = {}
    for method in ("source-only", "dann", "jan"):
        network = fresh_network()
        plan = Plan(
            title="adapt",
            epochs=2,
            steps=100,
            learning_rate=0.01,
            seed=0,
            state=tmp_path / f"{method}.safetensors",
            key="",
        )
        adapt(network, domains, replace(CONFIG, method=method, source_batch=32, target_batch=32), plan)
        with torch.no_grad():
            features = network.eval().bottleneck(torch.cat([source, target]))
        spread = features.std(0).mean()
        gaps[method] = float((features[:200].mean(0) - features[200:].mean(0)).norm() / spread)
    assert gaps["dann"] < gaps["source-only"] / 2
    assert gaps["jan"] < gaps["source-only"] / 2
