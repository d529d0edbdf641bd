"""train-critic: learns to score whole clusterings, from many small labelled sets (C2M, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clusterkit import console
from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import distinct, learned_by, run_key
from clusterkit.config import CRITIC_FILE, Context, Recipe, TrainCriticConfig
from clusterkit.critic.network import Critic, CriticArchitecture
from clusterkit.critic.sets import draw
from clusterkit.critic.training import PRINTED, LabelledSet, Training, labelled_set, train_critic
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.overlap import overlap
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.distributed import is_first
from clusterkit.errors import UsageError
from clusterkit.features.load import load_dataset
from clusterkit.methods.common.problem import Items
from clusterkit.methods.common.solve import values
from clusterkit.settings import Graph
from clusterkit.states import StateFolder
from clusterkit.training import Plan

OUTPUT = CRITIC_FILE
SETS, FEW_SETS, FEW_EPOCHS = 20, 5, 1
"""Small sets of a training, and those and the epochs of one with few (C2M, section 4)."""
WIDEST = 32
"""Most coordinates that a critic reads."""
NARROW, HIDDEN, WIDE_HIDDEN = 2, (32, 16), (100, 50)
"""The width up to which the graph convolutions have the first number of units, and both (C2M, section 4)."""


@dataclass(frozen=True)
class TrainCriticResult:
    """`sets` is the number of small sets that were learned from."""

    artifact: Path
    sets: int


def run(config: TrainCriticConfig, context: Context) -> TrainCriticResult:
    """Draw small labelled sets, train a critic on them and write `critic.safetensors`.

    The critic computes on the CPU. Raises UsageError for sets that share items, and InputError for a set without
    labels, with one class only, or with values that are not finite.
    """
    if choose_device(context.device).type != "cpu":
        console.log.info("train-critic: computes on the CPU, which is fast enough for small sets")
    data = read_sets(config, context)
    training = training_of(config)
    drawn = draw(data, FEW_SETS if config.few else SETS, context.seed)
    device = torch.device("cpu")
    features = [values(Items(subset=part, kind=each.kind, shape=each.shape), device) for each, part in drawn]
    critic = new_critic(config, max(found.shape[1] for found in features), context.seed)
    sets = labelled_sets(critic, drawn, [torch.from_numpy(found) for found in features], context.seed)
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    contents = [each.to_learned() for each in data]
    key = run_key("train-critic", resolved(config), resolved(training), context.seed, contents, describe(device))
    plan = Plan(
        title="train-critic",
        epochs=training.epochs,
        steps=len(sets),
        learning_rate=training.learning_rate,
        seed=derive_seed(context.seed, "train-critic"),
        state=states.file("critic"),
        key=key,
        resume=context.resume,
    )
    history = train_critic(critic, sets, training, plan)
    extra: dict[str, Any] = {
        "learned_from": distinct(*(learned_by(each.features) for each in data), contents),
        "critic": critic.architecture.to_header(),
        "history": {"all": history},
    }
    if len(data) > 1:
        extra["others"] = [other.to_header() for other in data[1:]]
    header = Header(
        "critic", "train-critic", resolved(config), context.seed, describe(device), data[0].to_header(), extra=extra
    )
    if is_first():
        write_checkpoint(output, header, critic.state_dict())
    states.remove()
    return TrainCriticResult(output, len(sets))


def read_sets(config: TrainCriticConfig, context: Context) -> list[Dataset]:
    """Return the labelled items of all sets. Raises UsageError for sets that share items."""
    data: list[Dataset] = []
    for name in (config.dataset, *config.others):
        found = load_dataset(name, context).labelled()
        found.labels_for("train-critic")
        for earlier in data:
            if overlap(earlier.to_header(), found.to_header()):
                raise UsageError(f"{earlier.name} and {found.name} share items; name each item once")
        data.append(found)
    return data


def graph_of(config: TrainCriticConfig) -> Graph:
    if config.graph is not None:
        return config.graph
    return Graph.CLIQUE if config.recipe is Recipe.PAPER else Graph.NEIGHBOURS


def training_of(config: TrainCriticConfig) -> Training:
    """Return the training of a recipe, which is shorter with few sets."""
    training = PRINTED if config.recipe is Recipe.PAPER else Training()
    if config.gradient_penalty is not None:
        training = replace(training, gradient_penalty=config.gradient_penalty)
    return replace(training, epochs=FEW_EPOCHS) if config.few else training


def new_critic(config: TrainCriticConfig, widest: int, seed: int) -> Critic:
    """Return an untrained critic for sets of which the widest has so many values an item."""
    width = min(widest, WIDEST)
    architecture = CriticArchitecture(
        width=width,
        graph=graph_of(config),
        hidden=HIDDEN if width <= NARROW else WIDE_HIDDEN,
        sizes=config.recipe is Recipe.BEST,
    )
    return Critic(architecture, derive_seed(seed, "critic"))


def labelled_sets(
    critic: Critic, drawn: Sequence[tuple[Dataset, Subset]], features: Sequence[torch.Tensor], seed: int
) -> list[LabelledSet]:
    """Return the small sets as the critic learns from them."""
    sets = []
    for number, ((data, subset), found) in enumerate(zip(drawn, features, strict=True)):
        assert subset.labels is not None
        title = data.name if subset.name == "all" else f"{data.name}/{subset.name}"
        sets.append(labelled_set(critic, found, subset.labels, title, derive_seed(seed, "simple", number)))
    return sets
