import dataclasses
import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clusterkit.config import Recipe
from clusterkit.critic import training as module
from clusterkit.critic.fakes import ari_of, fakes
from clusterkit.critic.network import Critic, CriticArchitecture
from clusterkit.critic.search import Search
from clusterkit.critic.training import PRINTED, LabelledSet, Training, labelled_set, train_critic
from clusterkit.errors import InputError
from clusterkit.settings import Graph
from clusterkit.training import History, Plan

QUICK = Search(k=4, population=6, iterations=2)
FORMS = {
    "best": Training(epochs=2, repeats=2, fakes=6, compared=8, searched=QUICK),
    "printed": dataclasses.replace(
        PRINTED, epochs=2, autoencoder_epochs=1, searched=dataclasses.replace(QUICK, recipe=Recipe.PAPER)
    ),
}


def blobs(k: int, seed: int, count: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    angle = torch.arange(count) % k * 2 * torch.pi / k + seed
    x = 4 * k * torch.stack([angle.cos(), angle.sin()], 1) + torch.randn(count, 2, generator=generator)
    return x, torch.arange(count) % k


def new_critic(graph: Graph = Graph.NEIGHBOURS) -> Critic:
    return Critic(CriticArchitecture(width=2, graph=graph, hidden=(8, 6), sizes=graph is Graph.NEIGHBOURS))


@functools.cache
def labelled_sets() -> list[LabelledSet]:
    return [labelled_set(new_critic(), *blobs(k, k), f"set {k}") for k in (2, 3, 5)]


def train(training: Training, folder: Path, *, resume: bool = False) -> tuple[dict[str, Tensor], dict[str, History]]:
    critic = new_critic(Graph.CLIQUE if training.recipe is Recipe.PAPER else Graph.NEIGHBOURS)
    plan = Plan(
        title="train-critic", epochs=1, steps=1, learning_rate=1, seed=5, state=folder / "critic.safetensors",
        key="key", resume=resume,
    )  # fmt: skip
    history = train_critic(critic, labelled_sets(), training, plan)
    return critic.state_dict(), history


@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_training_ends_with_the_same_bytes(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = FORMS[form]
    whole, history = train(training, tmp_path / "whole")
    assert len(history["critic"]) == training.epochs
    searches, whole_search = [], module.search

    def stop_in_second_epoch(*arguments: object, **more: object) -> object:
        searches.append(1)
        if len(searches) == len(labelled_sets()) + 2:
            raise KeyboardInterrupt
        return whole_search(*arguments, **more)

    monkeypatch.setattr(module, "search", stop_in_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(training, tmp_path / "broken")
    monkeypatch.setattr(module, "search", whole_search)
    again, resumed = train(training, tmp_path / "broken", resume=True)
    assert resumed == history
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_printed_form_clips_the_weights_of_the_critic_only(tmp_path: Path) -> None:
    state, _ = train(FORMS["printed"], tmp_path)
    layers = [value for name, value in state.items() if name.startswith("layers.")]
    assert max(float(value.abs().max()) for value in layers) <= 0.01 + 1e-8
    assert float(state["first"].abs().max()) > 0.01


def test_a_short_training_ranks_the_truth_of_other_sets_above_fakes(tmp_path: Path) -> None:
    critic = new_critic()
    training = Training(epochs=2, repeats=6, fakes=24, compared=32, searched=QUICK)
    plan = Plan(title="t", epochs=1, steps=1, learning_rate=1, seed=0, state=tmp_path / "c.safetensors", key="key")
    train_critic(critic, labelled_sets(), training, plan)
    for k, seed in ((3, 11), (4, 12)):
        x, labels = blobs(k, seed)
        points = critic.read(x)
        rows = fakes(points, labels, 60, torch.Generator().manual_seed(seed))
        rows = rows[ari_of(rows, labels) < 0.8]
        truth = critic.scores(points, labels[None])
        assert (critic.scores(points, rows) < truth).float().mean() > 0.85


def rivals_of(count: int) -> module.Rivals:
    return module.Rivals(torch.zeros(count, 1, dtype=torch.int64), torch.zeros(count))


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_the_penalty_is_that_of_one_point_after_the_other_in_float64(weight: float) -> None:
    lesson = module._Lesson(new_critic(), labelled_sets(), dataclasses.replace(PRINTED, gradient_penalty=weight))
    critic = lesson.critic.double()
    with torch.no_grad():
        for weights in critic.layers.parameters():
            weights.mul_(3)
    embeddings = torch.randn(5, len(critic.scale), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixes = torch.rand(4, 1, generator=torch.Generator().manual_seed(2))
    _, _, mix = lesson.compared(lesson.sets[0].points, rivals_of(5), torch.Generator().manual_seed(2))
    found = lesson.penalty(embeddings, mix)
    excess = []
    for number in range(4):
        share = float(mixes[number, 0])
        between = share * embeddings[0] + (1 - share) * embeddings[1 + number]
        slope = torch.autograd.functional.jacobian(lambda point: critic(point[None])[0], between)
        excess.append(max(float(slope.square().sum().sqrt()) - 1, 0) ** 2)
    assert max(excess) > 0
    if not weight:
        assert not found
        return
    assert found["penalty"].item() == pytest.approx(weight * sum(excess) / 4)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.randn(6, 2), torch.zeros(6), "letters: holds one class"),
        (torch.randn(6, 2), torch.arange(6), "letters: has no class of two points"),
        (torch.ones(6, 2), torch.arange(6) % 2, "letters: all its points are equal"),
        (torch.full((6, 2), torch.nan), torch.arange(6) % 2, "letters: holds values that are not finite"),
        (torch.randn(6, 2), torch.arange(5) % 2, "letters: has 6 items but 5 labels"),
        (torch.randn(0, 2), torch.arange(0), "letters: holds one class"),
    ],
)
def test_sets_to_learn_from_that_cannot_be_used_are_refused(features: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labelled_set(new_critic(), features, labels, "letters")


def test_the_printed_search_sees_clipped_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    largest = []

    def spied(critic: Critic, *arguments: object) -> object:
        largest.append(max(float(weights.detach().abs().max()) for weights in critic.layers.parameters()))
        return whole_search(critic, *arguments)

    whole_search = module.search
    monkeypatch.setattr(module, "search", spied)
    train(FORMS["printed"], tmp_path)
    assert len(largest) > 2
    assert max(largest) <= module.CLIP + 1e-9
