"""The constrained clustering network, which learns clusters end to end from pairs (L2C, section 4.2)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterkit.augment import augment
from clusterkit.device import derive_seed, seeded, send
from clusterkit.distributed import share, sum_all
from clusterkit.losses import Loss, pair_loss
from clusterkit.methods import CcnOptions
from clusterkit.methods.common import sample
from clusterkit.methods.common.consensus import consensus
from clusterkit.methods.common.consensus_targets import consensus_targets, under_links
from clusterkit.methods.common.g_features import Draw, augmented_features, on_target
from clusterkit.methods.common.large_consensus import extended_consensus
from clusterkit.methods.common.linked import linked_k_means
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.methods.common.solve import values
from clusterkit.networks.build import HIDDEN, ClusterNet, SimilarityNet
from clusterkit.networks.metric import CosineHead
from clusterkit.networks.new import started, untrained
from clusterkit.networks.predict import predict
from clusterkit.pairs.clusters import confirmed, nearest, small_values
from clusterkit.pairs.constraints import ConstrainedPairs, in_place_of
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.links import Closure, all_hold
from clusterkit.pairs.members import EPSILON
from clusterkit.pairs.source import PairSource, logit_matrix
from clusterkit.sampling import Linked, Sampler, Shuffled
from clusterkit.training import History, Plan, batches_of, fit

log = logging.getLogger("clusterkit")

DROPOUT = {Loss.CCL: 0.5, Loss.KCL: 0.2}
"""Dropout of the hidden layer on G's features. Without dropout it learns wrong pairs by heart."""
BATCH, ON_FEATURES = 100, 200
"""Images in a batch of whole networks, and in a batch of heads on G's features."""
BATCHES = {Loss.CCL: 400, Loss.KCL: 800}
"""Batches on which a head on G's features is trained."""
RESTARTS = {Loss.CCL: 3, Loss.KCL: 1}
"""Heads trained on G's features. The one of least loss is kept, as others merge clusters that the pairs separate."""
MEETINGS = 7.5
"""How often each pair of images shares a batch. Large sets need more of it, as a batch holds few similar pairs."""
AGAIN = 0.5
"""Epochs of the second training, as a share of those of the first."""
HEAVIER = 4.0
"""Other items that a linked one counts as in the second training for targets. Much heavier, it pulls its neighbours."""
SHORTEST = 250
"""Fewest batches of a training. With fewer, clusters of a small set are still merged."""
LONGEST = 5000
"""Most batches of a training, which are enough for a large set."""


def ccn(items: Items, question: Question, run: Run) -> Clustering:
    """Train a network of K outputs with a pair loss on random batches, and assign each item its largest output.

    With a G, the network is G's frozen backbone with a new hidden layer and outputs, trained on several augmented views
    of each item. The pairs are then those of `agreed`, and with CCL the best of several starts by loss is kept. Without
    a G, a whole network is trained, from random weights or from the backbone of `items.start`. Pairs are those of clean
    images, binarised at probability one half. Each further round trains a new network on the pairs of the previous
    clustering that the items' nearest neighbours confirm. If links are all the pairs there are, the other pairs are
    those of `by_values`. If G is a metric of fixed features, the first round learns the clusters of
    `consensus_targets` instead of pairs.
    """
    assert question.pairs is not None
    training = Training(
        replace(items, subset=items.subset.to(run.device)), question.pairs, question.k, question.options, run
    )
    pairs = question.pairs
    g = None if items.g is None else on_target(items.g, training.items.subset, items.bn, run.device)
    compared = 0
    if g is not None and isinstance(g.head, CosineHead):
        targets, compared = by_families(training, g)
        training = replace(training, targets=torch.from_numpy(targets).to(run.device))
    elif g is not None:
        pairs, compared = agreed(training)
    if isinstance(pairs, ConstrainedPairs) and pairs.alone:
        pairs = replace(pairs, base=by_values(training, pairs.closure), alone=False)
    training = replace(training, pairs=pairs.to(run.device))
    train = _whole if g is None else _heads(training, g)
    result = replace(train(training, ""), compared=compared)
    return result if training.options.rounds == 1 else _rounds(training, question.pairs, train, result)


@dataclass(frozen=True)
class Training:
    """Inputs of one training: the items on the device, the pairs to learn, K, the options and the run.

    `linked` says that pairs of the user's links have their weight. If there are `targets` (N, K), the probabilities of
    clusters are learned and not the pairs.
    """

    items: Items
    pairs: PairSource
    k: int
    options: CcnOptions
    run: Run
    linked: bool = False
    targets: Tensor | None = None

    @property
    def name(self) -> str:
        return self.items.subset.name


Train = Callable[[Training, str], Clustering]
Learn = Callable[[Training, Sampler, str], History]


def _rounds(training: Training, original: PairSource, train: Train, result: Clustering) -> Clustering:
    """Return the clustering of the last round, given that of the first. The user's constraints apply in every round."""
    name, neighbours, history = training.name, nearest(training.items.subset), result.history
    for number in range(2, training.options.rounds + 1):
        cluster = confirmed(result.prob, neighbours)
        title, percent = f", round {number}", 100 * (cluster >= 0).mean()
        log.info("cluster %s%s: %.1f %% of the items confirmed", name, title, percent)
        if len(np.unique(cluster[cluster >= 0])) < 2:
            log.info(
                "cluster %s: fewer than two clusters are confirmed; the result is that of round %d", name, number - 1
            )
            break
        pairs = in_place_of(original, LabelPairs(torch.from_numpy(cluster).to(training.run.device)))
        result = replace(train(replace(training, pairs=pairs, targets=None), title), compared=result.compared)
        history = {**history, **result.history}
    return replace(result, history=history)


def _heads(training: Training, g: SimilarityNet) -> Train:
    """Return a function that trains heads on the features of a G on the target, and keeps the one of least loss."""
    items, run = training.items, training.run
    views = seeded(run.seed, "views", training.name)
    draw = augmented_features(g, items.subset, items.kind, views, run.device, training.options.variation)
    sampler = _sampler(training, ON_FEATURES)

    def train(training: Training, title: str) -> Clustering:
        restarts = RESTARTS.get(training.options.loss, 1) if training.targets is None else 1
        titles = [title, *(f"{title}, restart {number}" for number in range(1, restarts))]
        tries = []
        for name in titles:
            seed = _seed(training, name)
            network = started(ClusterNet, g, seed, hidden=HIDDEN, outputs=training.k).to(run.device)
            tries.append((network, _on_features(network, draw, training, sampler, name)))
        best = min(tries, key=lambda result: _last_loss(result[1]))[0]
        histories = {name: result[1] for name, result in zip(titles, tries, strict=True)}
        return _held(training, best, sampler, histories, lambda *again: _on_features(best, draw, *again))

    return train


def _last_loss(history: History) -> float:
    """Return the mean loss in the last tenth of the epochs."""
    last = history[-max(1, len(history) // 10) :]
    return sum(means["loss"] for means in last) / len(last)


def _on_features(network: ClusterNet, draw: Draw, training: Training, sampler: Sampler, title: str) -> History:
    """Train the head of a network on G's features; return the losses of each epoch."""
    device = training.run.device
    # Targets are learned without a pair loss, in as many batches as with the default one.
    loss = training.options.loss if training.targets is None else Loss.CCL
    # With dropout, single items do not part from their neighbours, as links ask.
    by_heart = training.linked and training.targets is not None
    dropout = 0.0 if by_heart else DROPOUT.get(loss, DROPOUT[Loss.KCL])

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for index in sampler.epoch(generator):
            rows = share(len(index)).rows
            # The mask is drawn for the whole batch, of which each process uses its rows.
            mask = torch.rand(len(index), HIDDEN, generator=generator) >= dropout
            index = send(index, device)
            yield index, draw(index, generator)[rows], send(mask[rows], device)

    def step(batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        index, features, mask = batch
        *hidden, outputs = network.head
        units = nn.Sequential(*hidden)(features) * mask / (1 - dropout)
        return {"loss": _loss(training, outputs(units), index)}

    epochs = max(1, round(BATCHES.get(loss, BATCHES[Loss.KCL]) / sampler.steps))
    return fit(network.head, batches, step, _plan(training, sampler, epochs, title))


def _whole(training: Training, title: str) -> Clustering:
    """Train a whole network, from random weights or from a given backbone."""
    items, options, device = training.items, training.options, training.run.device
    subset, start = items.subset, items.start
    seed, k = _seed(training, title), training.k
    if start is None:
        network = untrained(ClusterNet, options.backbone, subset, seed, hidden=HIDDEN, outputs=k).to(device)
    else:
        network = started(ClusterNet, start, seed, hidden=HIDDEN, outputs=k).to(device)
    shuffled = _sampler(training, BATCH, title)

    def learn(training: Training, sampler: Sampler, title: str) -> History:
        def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
            for index, x in batches_of(subset, sampler, generator, device):
                yield index, augment(x, items.kind, generator, share(len(index)), options.variation)

        def step(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
            index, x = batch
            return {"loss": _loss(training, network(x), index)}

        return fit(network, batches, step, _plan(training, sampler, default_epochs(shuffled), title))

    return _held(training, network, shuffled, {title: learn(training, shuffled, title)}, learn)


def _held(
    training: Training, network: ClusterNet, sampler: Shuffled, histories: dict[str, History], learn: Learn
) -> Clustering:
    """Return the clustering of a trained network, after a second training if a link of the user does not hold.

    In the second training every batch holds linked items, whose pairs have their weight. It begins with clusters that
    follow from all pairs: if linked pairs weighed more from the start, clusters would merge. Clusters that were learned
    from targets then change for linked items whose links the network still does not hold.
    """
    result = _assigned(training, network, histories)
    if not isinstance(training.pairs, ConstrainedPairs):
        return result
    links = training.pairs.closure
    broken = torch.tensor(float(not all_hold(links, result.cluster)), device=training.run.device)
    # All processes train on if one does.
    if not sum_all(broken):
        return result
    title = f"{next(iter(histories))}, constraints"
    again = Linked(sampler, torch.from_numpy(links.group), torch.from_numpy(links.apart))
    log.info("cluster %s%s: training on, as some constraints do not hold yet", training.name, title)
    result = _assigned(training, network, {**histories, title: learn(replace(training, linked=True), again, title)})
    if training.targets is None:
        return result
    prob = under_links(result.prob, links)
    cluster = prob.argmax(1).astype(np.int32)
    moved = int((cluster != result.cluster).sum())
    if moved:
        log.warning("cluster %s: by the constraints, items are not where assign puts them: %d", training.name, moved)
    return replace(result, cluster=cluster, prob=prob, moved=moved)


def _seed(training: Training, title: str) -> int:
    return derive_seed(training.run.seed, "ccn", training.name + title)


def _sampler(training: Training, usual: int, title: str = "") -> Shuffled:
    count, size = len(training.items.subset), training.options.batch_size or usual
    if count < size:
        text = "cluster %s%s: batches of %d items instead of %d, because the subset holds no more"
        log.info(text, training.name, title, count, size)
    return Shuffled(count, min(size, count))


def _loss(training: Training, logits: Tensor, index: Tensor) -> Tensor:
    """Return the loss of this process's rows of a batch: the pair loss, or the cross-entropy to the targets.

    Pairs of links, or for targets linked items, have their weight in the second training.
    `logits` (b, K) are those of its items, and `index` (B,) holds the positions of all items of the batch.
    """
    rows = share(len(index)).rows
    if training.targets is not None:
        losses = F.cross_entropy(logits, training.targets[index[rows]], reduction="none")
        return (losses * _item_weights(training, index)[rows]).mean() if training.linked else losses.mean()
    pairs = training.pairs.logits(index[rows], index)
    weight = None
    if training.linked and isinstance(training.pairs, ConstrainedPairs):
        weight = training.pairs.weights(index)[rows]
    # Positive logits become 1 and others 0; unknown pairs stay NaN.
    similar = pairs.clamp(0, 1).ceil().to(logits)
    return pair_loss(training.options.loss)(logits, similar, training.options.sigma, weight)


def _item_weights(training: Training, index: Tensor) -> Tensor:
    """Return the weights (B,) of items at positions (B,), of mean one, among which linked items weigh more."""
    assert isinstance(training.pairs, ConstrainedPairs)
    linked = torch.from_numpy(training.pairs.closure.linked).to(index.device)[index]
    heavy = HEAVIER if training.pairs.weight is None else training.pairs.weight
    weights = torch.where(linked, heavy, 1.0)
    return weights / weights.mean()


def _plan(training: Training, sampler: Sampler, epochs: int, title: str) -> Plan:
    options, run, state = training.options, training.run, training.run.state
    assert state is not None
    return Plan(
        title=f"cluster {training.name}{title}",
        epochs=max(1, round((options.epochs or epochs) * (AGAIN if training.linked else 1))),
        steps=sampler.steps,
        learning_rate=options.learning_rate,
        seed=run.seed,
        state=state.with_stem(state.stem + title),
        key=run.key,
        resume=run.resume,
        precision=options.precision,
        optimizer=options.optimizer,
        drop_every=options.drop_every,
    )


def _assigned(training: Training, network: ClusterNet, histories: dict[str, History]) -> Clustering:
    prob = predict(network, training.items.subset, training.run.device)
    # Headers sort their keys, and a reader wants the trainings in their order.
    by_title = {
        title.removeprefix(", ") if "round" in title else f"round 1{title}": history
        for title, history in histories.items()
    }
    return Clustering(prob.argmax(1).int().numpy(), prob.numpy(), network, by_title)


def agreed(training: Training) -> tuple[PairSource, int]:
    """Return the consensus of all pairs under the user's constraints, in a large set that of a sample, and its size."""
    pairs, seed = training.pairs, derive_seed(training.run.seed, "consensus", training.name)
    if len(pairs) > sample.LARGEST:
        extended, compared = extended_consensus(pairs, seed)
        return in_place_of(pairs, extended), compared
    logits = logit_matrix(pairs, torch.arange(len(pairs))).double()
    shares = consensus(logits.numpy(), seed)
    return in_place_of(pairs, DensePairs(torch.from_numpy(shares).logit(EPSILON).float())), 0


def by_families(training: Training, g: SimilarityNet) -> tuple[NDArray[np.float32], int]:
    """Return the results of `consensus_targets` of features of a G on the target, under the links."""
    links = training.pairs.closure if isinstance(training.pairs, ConstrainedPairs) else None
    z = values(replace(training.items, g=None, start=g), training.run.device)
    seed = derive_seed(training.run.seed, "families", training.name) % 2**32
    return consensus_targets(z, training.k, seed, links)


def by_values(training: Training, links: Closure) -> PairSource:
    """Return the pairs of k-means under the links: of features if the network starts from others, else of small images.

    From the few pairs of links, a network learns no clusters of the other items.
    """
    items, name = training.items, training.name
    log.info("cluster %s: pairs without a constraint follow from k-means under the constraints", name)
    points = values(items, training.run.device) if items.start is not None else small_values(items.subset)
    seed = derive_seed(training.run.seed, "values", name) % 2**32
    return LabelPairs(torch.from_numpy(linked_k_means(points.astype(np.float64), training.k, seed, links, name)))


def default_epochs(sampler: Shuffled) -> int:
    """Return the number of epochs in which each pair meets MEETINGS times.

    A batch of B of N items holds (B / N)^2 of all pairs.
    """
    steps = max(SHORTEST, MEETINGS * (sampler.count / sampler.batch_size) ** 2)
    return max(1, round(min(steps, LONGEST) / sampler.steps))
