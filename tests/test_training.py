import dataclasses
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from clusterkit.artifacts.checkpoint import to_bytes
from clusterkit.artifacts.header import Header
from clusterkit.config import Backbone, Optimizer
from clusterkit.console import set_up
from clusterkit.errors import ClusterkitError, DivergedError, InputError
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.states import StateFolder
from clusterkit.training import Plan, fit

STEPS = 3


def network_of(layout: torch.memory_format = torch.channels_last) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 2)
    )
    return network.to(memory_format=layout)


def batches(generator: torch.Generator) -> Iterator[Tensor]:
    return (torch.randn(5, 3, 6, 6, generator=generator) for _ in range(STEPS))


class StopError(Exception):
    """The end of a run that something interrupts."""


def plan_in(folder: Path, **changes: object) -> Plan:
    plan = Plan(
        title="train-g",
        epochs=4,
        steps=STEPS,
        learning_rate=1e-2,
        seed=0,
        state=folder / "state" / "g.safetensors",
        key="key",
    )
    return dataclasses.replace(plan, **changes)


def train(folder: Path, stop: int | None = None, **changes: object) -> tuple[bytes, list[dict[str, float]]]:
    """Train, or raise StopError at a step counted from 0; return the network's bytes and the history."""
    network, done = network_of(), []

    def noisy(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches(generator):
            yield batch, batch + torch.randn(batch.shape, generator=generator)

    def step(both: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if len(done) == stop:
            raise StopError
        done.append(1)
        batch, varied = both
        out = network(varied)
        return {"square": out.square().mean(), "rest": (out.sum(1) - batch.mean()).abs().mean()}

    history = fit(network, noisy, step, plan_in(folder, **changes))
    return to_bytes(Header("g", "train-g", {}, 0, "cpu"), network.state_dict(), folder), history


def test_training_lowers_the_loss_and_reports_each_part(tmp_path: Path) -> None:
    _, history = train(tmp_path)
    assert [sorted(means) for means in history] == [["rest", "square"]] * 4
    assert sum(history[-1].values()) < sum(history[0].values())


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": Optimizer.SGD}, {"optimizer": Optimizer.SGD, "nesterov": True, "slow": True}]
)
@pytest.mark.parametrize("stop", [0, 2, 3, 4, 7, 11])
def test_a_resumed_run_ends_in_the_same_bytes(stop: int, changes: dict[str, object], tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", **changes)
    with pytest.raises(StopError):
        train(tmp_path / "cut", stop, **changes)
    torch.manual_seed(123)
    assert train(tmp_path / "cut", resume=True, **changes) == whole
    assert train(tmp_path / "cut", stop=0, resume=True, **changes) == whole


def test_slow_weights_follow_and_are_the_result(tmp_path: Path) -> None:
    """Descent on a gradient of one lowers a weight by the rate at each step, with Nesterov's momentum."""
    network = nn.Linear(1, 1, bias=False)
    weight = slow = network.weight.detach().double().item()
    velocity, epochs = 0.0, []
    for step in range(1, 12 + 1):
        velocity = 0.9 * velocity + 1
        weight -= 0.1 * (1 + 0.9 * velocity)
        if step % 5 == 0:
            kept = 0.95**5 * (step / 12) ** 3
            weight = slow = kept * slow + (1 - kept) * weight
    fit(
        network, lambda g: (torch.ones(1, 1) for _ in range(STEPS)), lambda x: {"loss": network(x).sum()},
        plan_in(tmp_path, learning_rate=0.1, optimizer=Optimizer.SGD, drop_every=4, nesterov=True, slow=True),
        before=epochs.append, after=epochs.append,
    )  # fmt: skip
    assert network.weight.item() == pytest.approx(slow, rel=1e-5)
    assert epochs == [0, 1, 1, 2, 2, 3, 3, 4]


def test_gradient_descent_with_momentum_and_a_rate_that_drops(tmp_path: Path) -> None:
    network = nn.Linear(1, 1, bias=False)
    weight = network.weight.detach().double().item()
    velocity = 0.0
    for rate in [0.1] * 2 * STEPS + [0.01] * 2 * STEPS:
        velocity = 0.9 * velocity + 2 * weight
        weight -= rate * velocity
    fit(
        network, lambda g: (torch.ones(1, 1) for _ in range(STEPS)), lambda x: {"loss": network(x).square().sum()},
        plan_in(tmp_path, learning_rate=0.1, optimizer=Optimizer.SGD, drop_every=2),
    )  # fmt: skip
    assert network.weight.item() == pytest.approx(weight, rel=1e-5)


def test_a_rate_that_is_smaller_for_the_backbone(tmp_path: Path) -> None:
    """Gradient descent on a gradient of one moves each weight by the sum of the rates, momentum included."""
    torch.manual_seed(0)
    network = ClusterNet(Architecture(Backbone.MLP, (2,), (0.0,) * 2, (1.0,) * 2, 8, 3))
    before = {name: value.clone() for name, value in network.named_parameters()}
    plan = Plan(
        title="adapt",
        epochs=2,
        steps=2,
        learning_rate=0.1,
        seed=0,
        state=tmp_path / "state" / "g.safetensors",
        key="key",
        optimizer=Optimizer.SGD,
        drop_every=2,
        backbone_rate=0.25,
    )

    def step(batch: None) -> dict[str, Tensor]:
        return {"loss": torch.stack([value.sum() for value in network.parameters()]).sum()}

    fit(network, lambda generator: iter([None, None]), step, plan)
    velocity, moved = 0.0, 0.0
    for _ in range(4):
        velocity = 0.9 * velocity + 1
        moved += 0.1 * velocity
    for name, value in network.named_parameters():
        share = 0.25 if name.startswith("backbone") else 1
        torch.testing.assert_close(before[name] - value, torch.full_like(value, share * moved), rtol=1e-4, atol=1e-5)


def test_a_run_cut_twice_and_one_that_is_done(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    for stop in (4, 5):
        with pytest.raises(StopError):
            train(tmp_path / "cut", stop, resume=True)
    assert train(tmp_path / "cut", resume=True) == whole
    assert train(tmp_path / "cut", stop=0, resume=True) == whole


def test_an_early_end_reports_its_last_epoch_without_time_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = nn.Linear(1, 1)
    for end, lines in ((1, 1), (3, 2)):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="clusterkit"):
            history = fit(
                network, lambda g: (torch.ones(1, 1) for _ in range(STEPS)), lambda x: {"loss": network(x).sum()},
                plan_in(tmp_path), after=lambda epoch, end=end: epoch == end,
            )  # fmt: skip
        assert len(history) == end
        texts = [record.getMessage() for record in caplog.records]
        assert len(texts) == lines
        assert f"epoch {end}/4, loss" in texts[-1]
        assert "left" not in texts[-1]


def test_without_resume_a_state_means_nothing(tmp_path: Path) -> None:
    assert train(tmp_path) == train(tmp_path)
    assert train(tmp_path)[0] != train(tmp_path, seed=1)[0]


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(InputError, match=r"g.safetensors: the state of a run with other settings.*without --resume"):
        train(tmp_path, resume=True, key="other")


@pytest.mark.parametrize("size", [0, 1, 500])
def test_a_damaged_state_is_refused(size: int, tmp_path: Path) -> None:
    train(tmp_path)
    state = plan_in(tmp_path).state
    state.write_bytes(state.read_bytes()[:size])
    with pytest.raises(InputError, match=r"g.safetensors: .*interrupted, without --resume"):
        train(tmp_path, resume=True)


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    network = nn.Linear(3, 1)
    fit(network, lambda g: iter([torch.ones(2, 3)]), lambda x: {"loss": network(x).sum()}, plan_in(tmp_path))
    with pytest.raises(InputError, match="without --resume"):
        train(tmp_path, resume=True)


@pytest.mark.parametrize("rate", [1e30, 1e300])
def test_a_loss_or_a_network_that_is_no_number_ends_the_run(rate: float, tmp_path: Path) -> None:
    with pytest.raises(ClusterkitError, match="try a smaller --learning-rate"):
        train(tmp_path, learning_rate=rate, epochs=1)
    assert not plan_in(tmp_path).state.exists()


def test_state_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(quiet=False)
    output = tmp_path / "new" / "g.safetensors"
    states = StateFolder(output, resume=False)
    assert states.file("g").parent == tmp_path / "new" / ".g.safetensors.state"
    assert not (tmp_path / "new").exists(), "a run that fails before its first state leaves nothing"
    states.path.mkdir(parents=True)
    states.file("g").write_text("state")
    assert StateFolder(output, resume=True).file("g").read_text() == "state"
    assert capsys.readouterr().err == ""
    assert not StateFolder(output, resume=False).file("g").exists()
    assert "discarding the state of an interrupted run" in capsys.readouterr().err
    states.remove()
    assert not states.path.exists()
    StateFolder(output, resume=True)
    assert "no interrupted run to resume" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "new", ignore_errors=True)
    (tmp_path / "new").touch()
    with pytest.raises(InputError, match=r"g.safetensors: cannot be written \((Not a directory|File exists)\)"):
        StateFolder(output, resume=False)


def test_the_rate_of_rmsprop_decays_by_epoch(tmp_path: Path) -> None:
    def moved(epochs: int) -> float:
        network = nn.Linear(2, 1)
        nn.init.ones_(network.weight)
        plan = plan_in(tmp_path, epochs=epochs, steps=1, decay=0.5, rmsprop=True)
        one = torch.ones(1, 2)
        fit(network, lambda _: iter([one]), lambda _: {"loss": network.weight.sum()}, plan)
        return 1 - network.weight[0, 0].item()

    # The gradient is one, so that its mean square after t steps is 1 - 0.99^t.
    steps = [1e-2 * 0.5**epoch / (1 - 0.99 ** (epoch + 1)) ** 0.5 for epoch in range(3)]
    assert [moved(1), moved(3)] == pytest.approx([steps[0], sum(steps)], rel=1e-4)


def test_statistics_that_overflow_end_a_training(tmp_path: Path) -> None:
    """The loss and the weights stay finite, but the network could not be used."""
    network = network_of()
    network.register_module("norm", nn.BatchNorm1d(2))

    def step(batch: Tensor) -> dict[str, Tensor]:
        loss = network(batch).square().mean()
        with torch.no_grad():
            network.norm(torch.tensor([[1e30, 0], [-1e30, 0]]))
        return {"loss": loss}

    with pytest.raises(DivergedError, match="not finite in epoch 1"):
        fit(network, batches, step, plan_in(tmp_path))
