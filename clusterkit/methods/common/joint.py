"""The one joint training of features and clusters: only the terms of the loss differ between its methods."""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterkit.augment import augment, to_float
from clusterkit.config import Kind
from clusterkit.datasets.base import Subset
from clusterkit.device import derive_seed
from clusterkit.distributed import Share, share
from clusterkit.methods.common.joint_options import JointOptions
from clusterkit.methods.common.points import warn_of_fewer
from clusterkit.methods.common.problem import Array, Clustering, Items, Labelled, Run
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.new import started, untrained
from clusterkit.networks.predict import finite, predict
from clusterkit.networks.target_statistics import blocks_of, normalisations, set_target_statistics
from clusterkit.sampling import Endless, Shuffled
from clusterkit.training import History, Plan, batches_of, fit

log = logging.getLogger("clusterkit")

STARTS = 20
"""Starts of the first k-means, as in DEC and DTC."""
FOLLOWING = 50
"""Batches of a pass from which running statistics follow the weights: all but 0.5 % of them is of this pass."""

Part = tuple[Tensor, Tensor]
"""Positions (B,) of the items of a batch from one set, and this process's share of the items in V views (V b, ...)."""
Batch = tuple[Part, Part | None, Tensor | None]
"""The parts of the target and the source, and the labels (b,) of this process's share of the source."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Network values of this process's rows of a batch of one set, in each of its V views.

    `hidden` (V, b, H) are the hidden values, `logits` (V, b, K) those of the target's head, and `source_logits` those
    of the source's head, None without a source. `index` (B,) are the positions of all items of the batch, of which
    `shard` are this process's.
    """

    hidden: Tensor
    logits: Tensor
    source_logits: Tensor | None
    index: Tensor
    shard: Share


class Terms(nn.Module):
    """The terms of a method's loss, with their trained parameters and the state that resuming needs."""

    views = 2
    """Random views of each item of the target in a batch."""
    source_views = 2
    """Random views of each item of the source in a batch."""
    end = ""
    """Why the training should end early, as `renew` has found it; empty if it goes on."""

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return this process's part of each loss by its name; `labels` (b,) are those of its rows of the source."""
        raise NotImplementedError

    def renew(self, epoch: int, joint: "Joint") -> None:
        """Change the state after an epoch, counted from 1. The base class changes nothing."""


class JointNet(nn.Module):
    """The network of the target, and a linear head of `classes` outputs for the source on its hidden values."""

    def __init__(self, network: ClusterNet, classes: int) -> None:
        super().__init__()
        self.network = network
        width = network.backbone.features if network.architecture.hidden == 0 else network.architecture.hidden
        self.source_head = nn.Linear(width, classes) if classes else None


class Joint:
    """A joint training of one subset: its items on the device, its network and its options.

    The network starts from the backbone of `items.start`, or else from random weights. `classes` is the number of
    outputs of the source's head; 0 leaves it and the source out.
    """

    def __init__(
        self, items: Items, k: int, options: JointOptions, run: Run, head: HeadKind, *, hidden: int = 0,
        classes: int = 0,
    ) -> None:  # fmt: skip
        self.items, self.k, self.options, self.run = items, k, options, run
        self.subset: Subset = items.subset.to(run.device)
        seed = derive_seed(run.seed, "joint", self.subset.name)
        if items.start is None:
            network = untrained(ClusterNet, options.backbone, items.subset, seed, hidden=hidden, outputs=k, head=head)
        else:
            network = started(ClusterNet, items.start, seed, hidden=hidden, outputs=k, head=head)
        if options.fine_tune is not None:
            network.train_last(options.fine_tune)
        self.net = JointNet(network, classes).to(run.device)
        if self.source is not None and head is HeadKind.LINEAR:
            self._take_classifier(self.source)
        count, size = len(self.subset), options.images
        self.sampler = Shuffled(count, min(size, count))
        self.settle()
        if count < size:
            text = "cluster %s: batches of %d items instead of %d, because the subset holds no more"
            log.info(text, self.subset.name, count, size)
        if classes and items.kind is Kind.VECTORS:
            log.info("cluster %s: vectors are not varied, so both views of an item are the same", self.subset.name)

    @property
    def source(self) -> Labelled | None:
        return self.items.source if self.net.source_head is not None else None

    @property
    def seed(self) -> int:
        """Return the seed of scikit-learn for this subset."""
        return derive_seed(self.run.seed, "joint k-means", self.subset.name) % 2**32

    def _take_classifier(self, source: Labelled) -> None:
        """Start the source's head from the outputs of the classifier that the features are from, if it has any."""
        assert self.net.source_head is not None
        if source.head is not None:
            with torch.no_grad():
                for own, weights in zip(self.net.source_head.parameters(), source.head.parameters(), strict=True):
                    own[: len(weights)] = weights

    def settle(self) -> None:
        """Normalise by the target's clean items where a pass has too few batches for running statistics to follow.

        Frozen layers keep theirs.
        """
        network = self.net.network
        if self.sampler.steps < FOLLOWING and normalisations(network, network.frozen):
            blocks = blocks_of(self.subset, self.run.device)
            set_target_statistics(network, network.features, blocks, network.frozen)

    def assignment(self) -> Tensor:
        """Return the network's probabilities (N, K) of the clean items of the target, float32 on the CPU.

        With a source the statistics stay, because its items share the batches.
        """
        if self.source is None:
            self.settle()
        return predict(self.net.network, self.subset, self.run.device)

    def features(self, positions: Tensor | None = None) -> Array:
        """Return the features (N, D) of the target's clean items by the backbone, of all or those at the positions.

        They are float64.
        """
        network, rows = self.net.network.eval(), list[Tensor]()
        subset = self.subset if positions is None else self.subset.take(positions)
        with torch.no_grad():
            for items in subset.blocks(self.run.device):
                rows.append(finite(network.features(to_float(items))).cpu())
        values: Array = torch.cat(rows).double().numpy()
        return values

    def train(self, terms: Terms, epochs: int, title: str = "") -> History:
        """Train the network and the terms in place; return the mean of each loss in each epoch.

        `title` tells several trainings of one clustering apart.
        """
        options, run, sampler = self.options, self.run, self.sampler
        labelled = None if self.source is None else self.source.subset.to(run.device)
        labels = None if self.source is None else self.source.labels.to(run.device)

        def views(part: Part, kind: Kind, count: int, generator: torch.Generator) -> Part:
            index, x = part
            shard = share(len(index))
            varied = [augment(x, kind, generator, shard, options.variation) for _ in range(count)]
            return index, torch.cat(varied)

        def batches(generator: torch.Generator) -> Iterator[Batch]:
            target = batches_of(self.subset, sampler, generator, run.device)
            if self.source is None or labelled is None or labels is None:
                for part in target:
                    yield views(part, self.items.kind, terms.views, generator), None, None
                return
            beside = Endless(len(labelled), min(options.images, len(labelled)), sampler.steps)
            source = batches_of(labelled, beside, generator, run.device)
            for part, part_s in zip(target, source, strict=True):
                varied = views(part, self.items.kind, terms.views, generator)
                varied_s = views(part_s, self.source.kind, terms.source_views, generator)
                yield varied, varied_s, labels[part_s[0][share(len(part_s[0])).rows]]

        def after(epoch: int) -> bool:
            # What follows the last epoch is not trained on.
            if epoch < epochs:
                terms.renew(epoch, self)
            return bool(terms.end)

        state = run.state
        assert state is not None
        plan = Plan(
            title=f"cluster {self.subset.name}{title}",
            epochs=epochs,
            steps=sampler.steps,
            learning_rate=options.learning_rate,
            seed=run.seed,
            state=state.with_stem(state.stem + title),
            key=run.key,
            resume=run.resume,
            precision=options.precision,
            optimizer=options.optimizer,
        )
        modules = nn.ModuleDict({"joint": self.net, "terms": terms.to(run.device)})
        history = fit(modules, batches, lambda batch: self._losses(terms, batch), plan, after)
        if terms.end:
            log.info("%s: ends after epoch %d, as %s", plan.title, len(history), terms.end)
        return history

    def _losses(self, terms: Terms, batch: Batch) -> dict[str, Tensor]:
        """Return this process's part of each loss of a batch."""
        (index, x), beside, labels = batch
        images = x if beside is None else torch.cat([x, beside[1]])
        hidden = self.net.network.bottleneck(images)
        target = self._views(hidden[: len(x)], index, terms.views)
        source = None if beside is None else self._views(hidden[len(x) :], beside[0], terms.source_views)
        return terms(target, source, labels)  # type: ignore[no-any-return]

    def result(self, history: dict[str, History]) -> Clustering:
        """Return the clustering by the trained network, with the histories of its trainings by title."""
        prob = self.assignment()
        return Clustering(prob.argmax(1).int().numpy(), prob.numpy(), self.net.network, history)

    def _views(self, hidden: Tensor, index: Tensor, views: int) -> Views:
        """Return the values of one set's views, which `hidden` (V b, H) has one after the other."""
        outputs = self.net.network.outputs(hidden)
        of_source = None if self.net.source_head is None else self.net.source_head(hidden).unflatten(0, (views, -1))
        return Views(
            hidden=hidden.unflatten(0, (views, -1)), logits=outputs.unflatten(0, (views, -1)),
            source_logits=of_source, index=index, shard=share(len(index)),
        )  # fmt: skip


def source_logits(views: Views) -> Tensor:
    """Return the logits (V, b, C) of the source's head."""
    assert views.source_logits is not None
    return views.source_logits


def source_entropy(views: Views, labels: Tensor) -> Tensor:
    """Return the mean cross entropy () of the source's head in all views with labels (b,)."""
    logits = source_logits(views)
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))


def first_groups(values: Array, k: int, seed: int, title: str) -> tuple[NDArray[np.int32], Array]:
    """Return the clusters (N,) and centres (K, D) of k-means on values (N, D), the best of several starts.

    If fewer than K points differ, some centres are equal, which a log line says of the items that `title` names.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(k, n_init=STARTS, random_state=seed).fit(values)
    clusters: NDArray[np.int32] = fitted.labels_.astype(np.int32)
    warn_of_fewer(clusters, k, title)
    return clusters, fitted.cluster_centers_.astype(np.float64)
