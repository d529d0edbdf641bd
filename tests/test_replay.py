"""Steps that are replayed as a whole, on a CPU with a recording that repeats the work."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from clusterkit import replay, training
from clusterkit.replay import Gpu, Outputs, Recorder, Steps, recorder_for
from clusterkit.training import Plan, fit

STEPS = 6


class Net(nn.Module):
    """A network with running statistics, a frozen layer, and a level that a hook raises."""

    level: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        self.layers[0].bias.requires_grad_(False)
        self.register_buffer("level", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) - self.level  # type: ignore[no-any-return]


class Pretended:
    """What a GPU does: work is not done while it is recorded, and its results are written to the same tensors."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.recorded, self.replayed = network, 0, 0

    def strict(self) -> AbstractContextManager[None]:
        return nullcontext()

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        self.recorded += 1
        before = [buffer.clone() for buffer in self.network.buffers()]
        outputs = [None if value is None else value.detach().clone() for value in work()]
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

        def again() -> None:
            self.replayed += 1
            for own, value in zip(outputs, work(), strict=True):
                if own is not None and value is not None:
                    own.copy_(value.detach())

        return outputs, again


def of_two_sizes(generator: torch.Generator) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
    for number in range(STEPS):
        x = torch.randn(5 if number % 3 == 2 else 7, 4, generator=generator)
        yield x, (x.sum(1) > 0, None)


def of_objects(generator: torch.Generator) -> Iterator[tuple[Tensor, tuple[Tensor, list[float]]]]:
    for number in range(STEPS):
        x = torch.randn(7, 4, generator=generator)
        yield x, (x.sum(1) > 0, [1.0 - number])


def of_many_sizes(generator: torch.Generator) -> Iterator[tuple[Tensor, tuple[Tensor, None]]]:
    for number in range(STEPS):
        x = torch.randn(5 + number, 4, generator=generator)
        yield x, (x.sum(1) > 0, None)


def trained(
    batches: Callable[[torch.Generator], Iterator[object]], recorder_of: Callable[[Net], Recorder] | None, folder: Path,
    monkeypatch: pytest.MonkeyPatch, *, hook: bool = False,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:  # fmt: skip
    network = Net()
    recorder = None if recorder_of is None else recorder_of(network)
    monkeypatch.setattr(training, "recorder_for", lambda *_: recorder)

    def step(batch: tuple[Tensor, tuple[Tensor, list[float] | None]]) -> dict[str, Tensor]:
        x, (positive, sign) = batch
        out = network(x)
        return {"a": out[positive].square().mean() * (sign[0] if sign else 1), "b": out.abs().mean()}

    def after(epoch: int) -> None:
        network.level.fill_(epoch)

    plan = Plan(
        title="t", epochs=3, steps=STEPS, learning_rate=1e-2, seed=0, state=folder / "s.safetensors", key="", slow=True
    )
    history = fit(network, batches, step, plan, after if hook else None)
    return network.state_dict(), history


@pytest.mark.parametrize(
    ("batches", "hook", "recorded", "prepared"),
    [
        (of_two_sizes, False, 2, 2),
        (of_two_sizes, True, 6, 2),  # anew in each epoch
        (of_objects, False, 0, 3 * STEPS),
        (of_many_sizes, False, replay.MOST, STEPS + 2 * (STEPS - replay.MOST)),
    ],
)
def test_a_training_by_replay_ends_in_the_same_bytes(
    batches: Callable[[torch.Generator], Iterator[object]], hook: bool, recorded: int, prepared: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recorders = list[Pretended]()

    def pretended(network: Net) -> Pretended:
        recorders.append(Pretended(network))
        return recorders[-1]

    expected = trained(batches, None, tmp_path, monkeypatch, hook=hook)
    found = trained(batches, pretended, tmp_path, monkeypatch, hook=hook)
    assert found[1] == expected[1]
    assert all(torch.equal(value, expected[0][name]) for name, value in found[0].items())
    [recorder] = recorders
    assert recorder.recorded == recorded
    assert recorder.replayed == 3 * STEPS - recorded - prepared, "a step that is recorded runs as it is"


class Failing(Pretended):
    """A device that notices while it records that it cannot."""

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        try:
            work()
            raise RuntimeError("operation not permitted\nwhen the stream is capturing")
        finally:
            raise RuntimeError("the recording was invalidated")


class Strict(Pretended):
    """A device that notices earlier."""

    @contextmanager
    def strict(self) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted")


class Idle(Pretended):
    """A device whose replay does nothing."""

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        return super().record(work)[0], lambda: None


class Wrong(Pretended):
    """A device that replays a wrong gradient of one layer."""

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        outputs, again = super().record(work)

        def wrong() -> None:
            again()
            assert outputs[-1] is not None
            outputs[-1].zero_()

        return outputs, wrong


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (Failing, "(operation not permitted)"),
        (Strict, "(operation not permitted)"),
        (Idle, "(its gradients differ)"),
        (Wrong, "(its gradients differ)"),
    ],
)
def test_what_cannot_be_replayed_runs_as_it_is(
    device: type[Pretended], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expected = trained(of_two_sizes, None, tmp_path, monkeypatch)
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        found = trained(of_two_sizes, device, tmp_path, monkeypatch)
    assert found[1] == expected[1]
    assert all(torch.equal(value, expected[0][name]) for name, value in found[0].items())
    texts = [record.getMessage() for record in caplog.records]
    assert sum("t: the GPU cannot replay a step as a whole" in text and reason in text for text in texts) == 1


def test_only_long_trainings_on_one_gpu_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(Gpu, "__init__", lambda recorder, device: None)
    assert recorder_for(torch.device("cpu"), 10**6) is None
    assert recorder_for(gpu, replay.FEWEST - 1) is None
    assert isinstance(recorder_for(gpu, replay.FEWEST), Gpu)
    with monkeypatch.context() as patch:
        patch.setattr(replay, "size", lambda: 2)
        assert recorder_for(gpu, 10**6) is None
    monkeypatch.setattr(Gpu, "failed", ["a recording"])
    assert recorder_for(gpu, 10**6) is None


def test_a_parameter_without_a_gradient_has_none() -> None:
    network, unused = Net(), nn.Parameter(torch.ones(2))
    parameters = [value for value in network.parameters() if value.requires_grad] + [unused]
    steps = Steps[Tensor]("t", lambda x: {"loss": network(x).square().mean()}, network, parameters, Pretended(network))
    for _ in range(4):
        steps(torch.randn(4, 4))
    assert unused.grad is None
    assert parameters[0].grad is not None
    assert all(recording.is_checked for recording in steps.recordings.values())


def test_losses_that_are_no_numbers_are_not_taken_for_a_wrong_replay() -> None:
    network = Net()
    parameters = [value for value in network.parameters() if value.requires_grad]
    steps = Steps[Tensor]("t", lambda x: {"loss": network(x).square().mean()}, network, parameters, Pretended(network))
    for _ in range(2):
        steps(torch.randn(4, 4))
    assert steps(torch.full((4, 4), torch.nan))["loss"].isnan()
    assert steps.recorder is not None
