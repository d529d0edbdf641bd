"""AutoNovel: each term from the values of a batch, its ramp, and the clusters that the source's head learns."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import clusterkit
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.distributed import Share
from clusterkit.methods.autonovel import AutonovelTerms, suitable_top
from clusterkit.methods.common.joint import Joint, Views
from clusterkit.methods.common.joint_options import AutonovelOptions
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.heads import HeadKind
from tests.cli.test_bad_input import fails
from tests.conftest import Cli
from tests.methods.test_joint import groups, problem

CLASSES, K, ITEMS = 3, 4, 6


def views(seed: int, outputs: int, items: int = ITEMS) -> Views:
    generator = torch.Generator().manual_seed(seed)
    hidden, logits, of_source = (torch.randn(2, items, width, generator=generator) for width in (3, K, outputs))
    return Views(
        hidden=hidden.relu(), logits=logits, source_logits=of_source, index=torch.arange(items),
        shard=Share(0, items, items),
    )  # fmt: skip


def entropy(logits: Tensor, labels: list[int]) -> float:
    """The mean over two views and all items of -log of the probability of an item's label."""
    prob = logits.double().softmax(2)
    return -sum(math.log(prob[view, i, label]) for view in (0, 1) for i, label in enumerate(labels)) / 2 / len(labels)


@pytest.mark.parametrize("incremental", [False, True])
@pytest.mark.parametrize("epochs", [0, 3, 12])
def test_the_terms_are_those_of_the_paper(epochs: int, incremental: bool) -> None:
    options = AutonovelOptions(
        epochs=40, top=2, consistency_weight=7, source_weight=3, incremental=incremental, ramp_epochs=8
    )
    terms = AutonovelTerms(options, CLASSES)
    for epoch in range(1, epochs + 1):
        terms.renew(epoch, None)  # type: ignore[arg-type]
    outputs = CLASSES + K if incremental else CLASSES
    target, source, labels = views(3, outputs), views(2, outputs, 5), [2, 0, 1, 1, 0]
    # A feature that is large in all items must not make them similar.
    target = replace(target, hidden=target.hidden + torch.tensor([0.0, 9, 0]))
    assert target.source_logits is not None
    assert source.source_logits is not None
    found = {name: float(value) for name, value in terms(target, source, torch.tensor(labels)).items()}

    ramp = math.exp(-5 * (1 - min(epochs / 8, 1)) ** 2)
    above = target.hidden[0].double() - target.hidden[0].double().mean(0)
    (p, q), largest = target.logits.double().softmax(2), [set(row.topk(2).indices.tolist()) for row in above]
    pairs = 0.0
    for i in range(ITEMS):
        for j in range(ITEMS):
            together = float(p[i] @ q[j])
            pairs -= math.log(together if largest[i] == largest[j] else 1 - together)
    heads = [(of.logits, of.source_logits) for of in (target, source)]
    apart = [
        float((logits[0, i].softmax(0) - logits[1, i].softmax(0)).square().mean())
        for both in heads
        for logits in both
        if logits is not None
        for i in range(logits.shape[1])
    ]
    expected = {
        "source": 3 * entropy(source.source_logits, labels),
        "pairs": pairs / ITEMS**2,
        "consistency": 7 * ramp * sum(apart) / (ITEMS + 5),
    }
    if incremental:
        own = [CLASSES + int(row.argmax()) for row in target.logits[0]]
        expected["incremental"] = 0.05 * ramp * entropy(target.source_logits, own)
    assert found == pytest.approx(expected, rel=1e-4)


def test_ranks_teach_nothing_through_themselves() -> None:
    target, source = views(1, CLASSES), views(2, CLASSES)
    target.hidden.requires_grad_()
    losses = AutonovelTerms(AutonovelOptions(top=2), CLASSES)(target, source, torch.zeros(ITEMS, dtype=torch.int64))
    assert not losses["pairs"].requires_grad


def test_weights_rise_in_a_quarter_of_the_epochs() -> None:
    assert (AutonovelOptions().passes, AutonovelOptions().rising_epochs) == (200, 50)
    assert [AutonovelOptions(epochs=epochs).rising_epochs for epochs in (1, 3, 40)] == [1, 1, 10]
    assert AutonovelOptions(ramp_epochs=80).rising_epochs == 80


def test_how_far_the_weights_have_risen_is_part_of_the_state() -> None:
    terms, other = (AutonovelTerms(AutonovelOptions(), CLASSES) for _ in range(2))
    terms.renew(3, None)  # type: ignore[arg-type]
    other.load_state_dict(terms.state_dict())
    assert float(other.part) == float(terms.part) > float(AutonovelTerms(AutonovelOptions(), CLASSES).part)


def test_the_classifier_of_the_source_learns_the_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Joint] = []
    result = Joint.result

    def remembered(joint: Joint, *rest: Any) -> Any:
        trained.append(joint)
        return result(joint, *rest)

    monkeypatch.setattr(Joint, "result", remembered)
    asked, labels = problem("autonovel", tmp_path, backbone=Backbone.MLP, top=1, incremental=True, epochs=10)
    found = asked.clustered()
    assert accuracy(found.cluster, labels) > 0.98
    head, x = trained[0].net.source_head, trained[0].subset.images
    assert head is not None
    assert isinstance(x, Tensor)
    with torch.no_grad():
        own = head(trained[0].net.network.eval().features(x)).argmax(1) - 3
    assert np.mean(own.numpy() == found.cluster) > 0.98


def test_the_head_of_the_source_starts_as_the_classifier(tmp_path: Path) -> None:
    asked, _ = problem("autonovel", tmp_path)
    assert asked.items.source is not None
    classifier = torch.nn.Linear(8, CLASSES)
    items = replace(asked.items, source=replace(asked.items.source, head=classifier))
    for outputs in (CLASSES, CLASSES + K):
        head = Joint(items, K, asked.options, asked.run, HeadKind.LINEAR, classes=outputs).net.source_head
        assert head is not None
        assert head.weight.shape == (outputs, 8)
        assert torch.equal(head.weight[:CLASSES], classifier.weight)
        assert torch.equal(head.bias[:CLASSES], classifier.bias)


def test_as_many_largest_features_as_make_one_pair_in_k_similar(caplog: pytest.LogCaptureFixture) -> None:
    generator = np.random.default_rng(0)
    group, values = np.arange(240) % K, generator.random((240, 12))
    # Four groups have two large features each, of which either is the largest, and no further ones.
    values[np.arange(240), 2 * group] += 5
    values[np.arange(240), 2 * group + 1] += 5
    subset = Subset("all", torch.zeros(240, 1), torch.arange(240), None)
    joint: Any = SimpleNamespace(
        run=SimpleNamespace(seed=3), subset=subset, k=K, features=lambda chosen: values[chosen]
    )
    with caplog.at_level("INFO"):
        assert suitable_top(joint) == 2
    # Of 240 items 59 others are in an item's group.
    assert f"their 2 largest features are the same (--top), as in {59 / 239:.2g} of pairs" in caplog.text
    for width in (2, 12):
        joint.features = lambda chosen, width=width: np.ones((len(chosen), width))
        assert suitable_top(joint) == 1


def test_too_few_features_tell_no_items_apart() -> None:
    x, source = groups(1, 4)[0].numpy(), tuple(part.numpy() for part in groups(2, 3))
    for top, more, width in ((8, {}, 8), (9, {}, 8), (256, {"backbone": "mlp"}, 256)):
        with pytest.raises(ValueError, match=f"^top {top}: of {width} features"):
            clusterkit.cluster(x, k=4, method="autonovel", source=source, top=top, **more)
    clusterkit.cluster(x, k=4, method="autonovel", source=source, top=7, epochs=1)
    with pytest.raises(ValueError, match=r"^method autonovel: compares largest features, but there is a single one"):
        clusterkit.cluster(x[:, :1], k=4, method="autonovel", source=(source[0][:, :1], source[1]))


def test_through_the_command_line(cli: Cli) -> None:
    assert cli("pretrain digits@0-4 --size 8 --backbone mlp --epochs 1").code == 0
    line = "cluster digits@5-9 --method autonovel --k 5 --epochs 1"
    out = Path("clusterkit-out")
    before = sorted(path.name for path in out.iterdir())
    for more, code, word in (
        ("--top 0", 2, "top"),
        ("--top 99999", 2, "--top 99999: of 256 features"),
        ("--ramp-epochs 0", 2, "ramp-epochs"),
        ("--ramp-epochs 9 --epochs 8", 2, "--ramp-epochs 9: the training has 8 epochs"),
        ("--consistency-weight -1", 2, "consistency-weight"),
        ("--tau 1", 2, "--tau"),
    ):
        fails(cli(f"{line} {more}"), code, word)
        assert sorted(path.name for path in out.iterdir()) == before
    fails(cli(f"{line.replace('autonovel', 'supreme')} --incremental"), 2, "--incremental", "autonovel")
    assert cli(f"{line} --incremental").code == 0
    header, state = read_checkpoint(out / "ccn.safetensors", "ccn")
    assert header.config["options"]["incremental"] is True
    assert state["all.head.0.weight"].shape == (5, 256)
    assert set(header.extra["history"]["all"]["round 1"][0]) == {"source", "pairs", "consistency", "incremental"}
