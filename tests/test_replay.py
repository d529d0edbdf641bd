"""Steps that are replayed as a whole, on a CPU with a recording that repeats the work."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from clusterkit import replay, training
from clusterkit.replay import Capture, Steps, Work, capture_for
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


class Recorder:
    """What a GPU does: work is not done while it is recorded, and its results are written to the same tensors."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.recorded, self.replayed = network, 0, 0

    def __call__(self, work: Work) -> tuple[list[Tensor | None], Callable[[], None]]:
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
    objects = [1.0], [-1.0]
    for number in range(STEPS):
        x = torch.randn(7, 4, generator=generator)
        yield x, (x.sum(1) > 0, objects[number % 2])


def trained(
    batches: Callable[[torch.Generator], Iterator[object]], capture: Callable[[Net], Capture] | None, folder: Path,
    monkeypatch: pytest.MonkeyPatch, *, hook: bool = False,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:  # fmt: skip
    network = Net()
    recorder = None if capture is None else capture(network)
    monkeypatch.setattr(training, "capture_for", lambda *_: recorder)

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


@pytest.mark.parametrize("batches", [of_two_sizes, of_objects])
@pytest.mark.parametrize("hook", [False, True])
def test_a_training_by_replay_ends_in_the_same_bytes(
    batches: Callable[[torch.Generator], Iterator[object]], hook: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorders = list[Recorder]()

    def capture(network: Net) -> Recorder:
        recorders.append(Recorder(network))
        return recorders[-1]

    expected = trained(batches, None, tmp_path, monkeypatch, hook=hook)
    found = trained(batches, capture, tmp_path, monkeypatch, hook=hook)
    assert found[1] == expected[1]
    assert all(torch.equal(value, expected[0][name]) for name, value in found[0].items())
    [recorder] = recorders
    is_new = hook or batches is of_objects
    assert recorder.recorded == (6 if is_new else 2), "two kinds of batches, recorded anew where more has changed"
    # The first step of each shape prepares the libraries, and recorded steps are not replayed at once.
    assert recorder.replayed == 3 * STEPS - recorder.recorded - (2 if batches is of_two_sizes else 1)


def failing(work: Work) -> tuple[list[Tensor | None], Callable[[], None]]:
    work()
    raise RuntimeError("operation not permitted\nwhen the stream is capturing")


def wrong(network: nn.Module) -> Capture:
    """Replay nothing, so that gradients stay as they were recorded."""
    recorder = Recorder(network)
    return lambda work: (recorder(work)[0], lambda: None)


def silent(network: nn.Module) -> Capture:
    """Return gradients that are zero."""
    recorder = Recorder(network)
    return lambda work: ([None if x is None else torch.zeros_like(x) for x in recorder(work)[0]], lambda: None)


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (lambda _: failing, "(operation not permitted)"),
        (silent, "(its gradients differ)"),
        (wrong, "(its gradients differ)"),
    ],
)
def test_what_cannot_be_replayed_runs_as_it_is(
    capture: Callable[[Net], Capture], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expected = trained(of_two_sizes, None, tmp_path, monkeypatch)
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        found = trained(of_two_sizes, capture, tmp_path, monkeypatch)
    assert found[1] == expected[1]
    texts = [record.getMessage() for record in caplog.records]
    assert sum("t: the GPU cannot replay a step as a whole" in text and reason in text for text in texts) == 1


def test_only_long_trainings_on_one_gpu_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    assert capture_for(torch.device("cpu"), 10**6) is None
    assert capture_for(gpu, replay.FEWEST - 1) is None
    assert capture_for(gpu, replay.FEWEST) is replay.on_gpu
    monkeypatch.setattr(replay, "size", lambda: 2)
    assert capture_for(gpu, 10**6) is None


def test_a_parameter_without_a_gradient_has_none() -> None:
    network, unused = Net(), nn.Parameter(torch.ones(2))
    parameters = [value for value in network.parameters() if value.requires_grad] + [unused]
    steps = Steps[Tensor]("t", lambda x: {"loss": network(x).square().mean()}, network, parameters, Recorder(network))
    for _ in range(4):
        steps(torch.randn(4, 4))
    assert unused.grad is None
    assert parameters[0].grad is not None
    assert all(recording.is_checked for recording in steps.recordings.values())
