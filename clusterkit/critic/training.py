"""The training of a critic on labelled sets (C2M, algorithm 2), as printed or with other fakes and another loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.config import Recipe
from clusterkit.critic.embedding import PointSet, embedding, reconstruction
from clusterkit.critic.fakes import ari_of, fakes
from clusterkit.critic.network import Critic
from clusterkit.critic.search import Search, search
from clusterkit.critic.starts import starts
from clusterkit.distributed import size
from clusterkit.errors import InputError
from clusterkit.settings import Graph
from clusterkit.training import History, Plan, fit

AUTOENCODER_RATE = 0.01
MOST_STARTS = 50
"""Most clusters of a simple clustering."""
DECAY = 0.95
"""The factor of the learning rate after every epoch as printed, as which we read the decay rate of C2M, section 4."""
CLIP = 0.01
"""The largest weight of the critic as printed (Arjovsky et al. 2017)."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The length and the terms of a critic's training.

    An epoch takes `repeats` steps on each set, which compare the truth with `compared` of its rivals. `fakes` of these
    are random changes of the truth, one is the winner of a search by the critic, and the others are simple clusterings.
    `gradient_penalty` is the weight of the penalty of the critic's gradient; as printed, with a weight above 0 it
    replaces the clipping of weights. With `joint`, the graph convolutions learn with the critic, otherwise they stay as
    the autoencoder left them.
    """

    recipe: Recipe = Recipe.BEST
    epochs: int = 10
    repeats: int = 4
    autoencoder_epochs: int = 1
    learning_rate: float = 1e-3
    fakes: int = 64
    compared: int = 48
    gradient_penalty: float = 1.0
    joint: bool = True
    searched: Search = field(default_factory=lambda: Search(k=20, population=50, iterations=5, improved=1))


PRINTED = Training(
    recipe=Recipe.PAPER,
    repeats=1,
    learning_rate=0.01,
    gradient_penalty=0.0,
    joint=False,
    # A training searches anew in every epoch.
    searched=Search(recipe=Recipe.PAPER, restarts=1),
)
"""Wasserstein with clipped weights, RMSprop, and the winner of the cross-entropy method as the only fake."""


@dataclass(frozen=True)
class LabelledSet:
    """A set with its classes (N,), numbered from 0, and simple clusterings (P, N) of it."""

    points: PointSet
    labels: Tensor
    simple: Tensor


def labelled_set(critic: Critic, features: Tensor, labels: Tensor, name: str, seed: int = 0) -> LabelledSet:
    """Return a set of features (N, D) with classes (N,) for the training of a critic.

    Raises InputError for values that are not finite or all equal, and for fewer than two classes or points of each.
    """
    if len(features) != len(labels):
        raise InputError(f"{name}: has {len(features)} items but {len(labels)} labels; give each item one label")
    points = critic.read(features, name)
    classes = labels.unique(return_inverse=True)[1]
    if not len(classes) or int(classes.max()) == 0:
        raise InputError(f"{name}: holds one class; a critic learns from sets of at least two")
    if int(classes.max()) + 1 == len(classes):
        raise InputError(f"{name}: has no class of two points; a critic learns from sets with more points than classes")
    if not bool(points.x.any()):
        raise InputError(f"{name}: all its points are equal; a critic learns from sets whose points differ")
    return LabelledSet(points, classes, starts(points, MOST_STARTS, seed))


def train_critic(critic: Critic, sets: Sequence[LabelledSet], training: Training, plan: Plan) -> dict[str, History]:
    """Train the autoencoder, then the critic, in place; return the losses of each.

    `plan` has the seed, the state file and whether to resume; its lengths and rates are replaced by those of
    `training`. Each set is a batch. The state of the autoencoder is in a file beside that of the critic.
    """
    for tensor in (critic.first, critic.second):
        tensor.requires_grad_(True)
    for tensor in critic.layers.parameters():
        tensor.requires_grad_(False)
    history = {"autoencoder": _train_autoencoder(critic, sets, training, plan)}
    set_scale(critic, sets)
    for tensor in (critic.first, critic.second):
        tensor.requires_grad_(training.joint)
    for tensor in critic.layers.parameters():
        tensor.requires_grad_(True)
    history["critic"] = _Lesson(critic, sets, training).train(plan)
    return history


def _train_autoencoder(critic: Critic, sets: Sequence[LabelledSet], training: Training, plan: Plan) -> History:
    plan = replace(
        plan, title=f"{plan.title} autoencoder", epochs=training.autoencoder_epochs, steps=len(sets),
        learning_rate=AUTOENCODER_RATE, state=plan.state.with_name("autoencoder.safetensors"),
    )  # fmt: skip

    def batches(generator: torch.Generator) -> Iterator[LabelledSet]:
        return (sets[int(number)] for number in torch.randperm(len(sets), generator=generator))

    def step(batch: LabelledSet) -> dict[str, Tensor]:
        # Every process computes the same, so that their gradients sum to those of one.
        return {"loss": reconstruction(*critic.convolve(batch.points, batch.labels[None])) / size()}

    return fit(critic, batches, step, plan)


@torch.no_grad()
def set_scale(critic: Critic, sets: Sequence[LabelledSet]) -> None:
    """Set the scale of embeddings to the root mean square, over the sets, of each number of the truth's embedding."""
    found = torch.cat([embedding(*critic.convolve(each.points, each.labels[None])) for each in sets])
    usual = found.square().mean(0).sqrt()
    critic.scale.copy_(usual.clamp(min=max(1e-3 * float(usual.max()), 1e-30)))


@dataclass(frozen=True)
class Rivals:
    """Clusterings (P, N) that a step tells apart, the truth first, and their ARI with it (P,)."""

    rows: Tensor
    ari: Tensor


Compared = tuple[PointSet, Rivals, Tensor | None]
"""A set, the clusterings that a step tells apart, and how their embeddings are mixed for a penalty."""


class _Lesson:
    """The steps of a critic's training, each on one set."""

    def __init__(self, critic: Critic, sets: Sequence[LabelledSet], training: Training) -> None:
        self.critic, self.sets, self.training = critic, sets, training
        self.clips = training.recipe is Recipe.PAPER and not training.gradient_penalty

    def train(self, plan: Plan) -> History:
        training = self.training
        printed = training.recipe is Recipe.PAPER
        plan = replace(
            plan, epochs=training.epochs, steps=len(self.sets) * training.repeats, learning_rate=training.learning_rate,
            rmsprop=printed, decay=DECAY if printed else None,
        )  # fmt: skip
        step = self.wasserstein if printed else self.ranking
        return fit(self.critic, self.batches, step, plan, after=self.clip)

    def batches(self, generator: torch.Generator) -> Iterator[Compared]:
        """Yield each set several times in random order, with rivals that are new in every epoch."""
        rivals: dict[int, Rivals] = {}
        for _ in range(self.training.repeats):
            for number in torch.randperm(len(self.sets), generator=generator).tolist():
                labelled = self.sets[number]
                if number not in rivals:
                    rivals[number] = self.rivals(labelled, generator)
                yield self.compared(labelled.points, rivals[number], generator)

    def compared(self, points: PointSet, rivals: Rivals, generator: torch.Generator) -> Compared:
        """Return what a step tells apart.

        Not as printed, it is the truth and a random part of its rivals. Cliques see coordinates, which are turned at
        random: the clusters stay the same.
        """
        training = self.training
        if training.recipe is not Recipe.PAPER:
            if self.critic.architecture.graph is Graph.CLIQUE:
                points = points.turned(rotation(points.x.shape[1], generator))
            chosen = 1 + torch.randperm(len(rivals.rows) - 1, generator=generator)[: training.compared]
            kept = torch.cat([chosen.new_zeros(1), chosen])
            rivals = Rivals(rivals.rows[kept], rivals.ari[kept])
        mix = torch.rand(len(rivals.rows) - 1, 1, generator=generator) if training.gradient_penalty else None
        return points, rivals, mix

    def rivals(self, labelled: LabelledSet, generator: torch.Generator) -> Rivals:
        """Return the truth and the winner of a search by the critic; not as printed, also fakes of all kinds."""
        training = self.training
        # The batch comes before the step that clips.
        self.clip()
        seed = int(torch.randint(2**31, (), generator=generator))
        winner = search(self.critic, labelled.points, training.searched, seed, labelled.simple).assignment
        rows = [labelled.labels[None], winner[None]]
        if training.recipe is not Recipe.PAPER:
            rows += [labelled.simple, fakes(labelled.points, labelled.labels, training.fakes, generator)]
        every = torch.cat(rows)
        return Rivals(every, ari_of(every, labelled.labels))

    def clip(self, epoch: int = 0) -> None:
        """Clip the weights as printed, unless the penalty stands in for it.

        So before each search and step, and after each epoch, none is larger.
        """
        if not self.clips:
            return
        with torch.no_grad():
            for weights in self.critic.layers.parameters():
                weights.clamp_(-CLIP, CLIP)

    def wasserstein(self, batch: Compared) -> dict[str, Tensor]:
        """Return the score of the search's winner less that of the truth (C2M, equation 6), and any penalty."""
        self.clip()
        points, rivals, mix = batch
        embeddings = self.critic.embed(points, rivals.rows)
        truth, fake = self.critic(embeddings)
        return {"loss": (fake - truth) / size(), **self.penalty(embeddings, mix)}

    def ranking(self, batch: Compared) -> dict[str, Tensor]:
        """Return by how much fakes miss their distance below the truth, and any penalty.

        The distance is 1 - ARI, so that scores differ as the clusterings do.
        """
        points, rivals, mix = batch
        embeddings = self.critic.embed(points, rivals.rows)
        scores = self.critic(embeddings)
        distance = (1 - rivals.ari[1:]).float()
        ranking = F.relu(distance - (scores[0] - scores[1:])).mean() / size()
        return {"ranking": ranking, **self.penalty(embeddings, mix)}

    def penalty(self, embeddings: Tensor, mix: Tensor | None) -> dict[str, Tensor]:
        """Return the penalty of gradients longer than one between embeddings (1 + P, E), the truth first, and others.

        `mix` (P, 1) in 0..1 says where between them; without it there is no penalty. It is the one-sided form of
        Gulrajani et al. 2017, equation 3.
        """
        if mix is None:
            return {}
        between = (mix * embeddings[:1] + (1 - mix) * embeddings[1:]).detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        weight = self.training.gradient_penalty
        return {"penalty": weight * F.relu(slope.norm(dim=1) - 1).square().mean() / size()}


def rotation(width: int, generator: torch.Generator) -> Tensor:
    """Return a random orthogonal matrix (width, width)."""
    q, r = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    turned: Tensor = q * r.diagonal().sign()
    return turned.to(torch.get_default_dtype())
