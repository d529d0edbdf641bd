"""Losses and gradients of training steps, which a GPU replays as a whole instead of one operation after another.

A GPU finishes the operations of a small batch sooner than the CPU can start them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from clusterkit import console
from clusterkit.distributed import size

Batch = TypeVar("Batch")
Form = tuple[Any, ...]
"""What recordings of two batches share: shape and type of each tensor, and which object all else is."""
Work = Callable[[], list[Tensor | None]]
Capture = Callable[[Work], tuple[list[Tensor | None], Callable[[], None]]]
"""Records work; returns the tensors that its replay writes to, and the replay."""

FEWEST = 50
"""Steps for which a recording is made at least; for fewer it takes longer than it saves."""
TOLERANCE = 0.05
"""The largest distance between gradients of the first replay and of the same step as it is, relative to their norm."""


def capture_for(device: torch.device, steps: int) -> Capture | None:
    """Return how to record steps on a device, or None if they run as they are: on a CPU, on several devices, or few."""
    return on_gpu if device.type == "cuda" and size() == 1 and steps >= FEWEST else None


def on_gpu(work: Work) -> tuple[list[Tensor | None], Callable[[], None]]:
    """Record work in a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    # Other threads, which read the next images, may use the GPU meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = work()
    return outputs, graph.replay


@dataclass
class _Recording:
    """A recorded step: the tensors that it reads, its losses, its gradients, and other parts of its batch."""

    inputs: list[Tensor]
    losses: dict[str, Tensor]
    gradients: list[Tensor | None]
    others: list[object]
    replay: Callable[[], None]
    is_checked: bool = False


class Steps(Generic[Batch]):
    """The steps of a training of `parameters`, by replay if there is a `capture`.

    `step` returns the losses of a batch by name. A batch is a tensor or nested tuples of tensors and other objects. The
    step must not draw random numbers, nor depend on anything but the batch and tensors that are changed in place. What
    cannot be recorded, or whose replay gives other gradients, runs as it is, and a log line says so.
    """

    def __init__(
        self, title: str, step: Callable[[Batch], dict[str, Tensor]], network: nn.Module,
        parameters: Sequence[nn.Parameter], capture: Capture | None,
    ) -> None:  # fmt: skip
        self.title, self.step, self.network, self.parameters = title, step, network, parameters
        self.capture = capture
        self.prepared: set[Form] = set()
        self.recordings: dict[Form, _Recording] = {}

    def forget(self, *, all_of_them: bool) -> None:
        """Record anew what follows: all steps, or those of batches with more than tensors, which no longer come."""
        self.recordings = {} if all_of_them else {f: each for f, each in self.recordings.items() if not each.others}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch by name, and leave their gradients in the parameters."""
        if self.capture is None:
            return self._as_it_is(batch)
        leaves = list(_leaves(batch))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        others = [leaf for leaf in leaves if leaf is not None and not isinstance(leaf, Tensor)]
        shapes = tuple((tensor.shape, tensor.dtype) if isinstance(tensor, Tensor) else None for tensor in leaves)
        if shapes not in self.prepared:
            # In a first step, libraries set themselves up, which cannot be recorded.
            self.prepared.add(shapes)
            return self._as_it_is(batch)
        form = (shapes, *map(id, others))
        recording = self.recordings.get(form)
        if recording is not None:
            return (
                self._replayed(recording, tensors) if recording.is_checked else self._checked(recording, batch, tensors)
            )
        try:
            self.recordings[form] = self._record(batch, tensors, others, self.capture)
        except Exception as error:  # drivers raise errors of many types
            self._give_up((str(error).strip().splitlines() or [type(error).__name__])[0])
        return self._as_it_is(batch)

    def _as_it_is(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.step(batch)
        for parameter in self.parameters:
            parameter.grad = None
        torch.stack(list(losses.values())).sum().backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _record(self, batch: Batch, tensors: list[Tensor], others: list[object], capture: Capture) -> _Recording:
        inputs, names = [tensor.clone() for tensor in tensors], list[str]()
        own = _with(batch, iter(inputs))

        def work() -> list[Tensor | None]:
            losses = self._as_it_is(own)
            names[:] = losses
            return [*losses.values(), *(parameter.grad for parameter in self.parameters)]

        outputs, replay = capture(work)
        losses = {name: loss for name, loss in zip(names, outputs, strict=False) if loss is not None}
        return _Recording(inputs, losses, outputs[len(names) :], others, replay)

    def _replayed(self, recording: _Recording, tensors: list[Tensor]) -> dict[str, Tensor]:
        for own, tensor in zip(recording.inputs, tensors, strict=True):
            own.copy_(tensor)
        recording.replay()
        for parameter, gradient in zip(self.parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.losses

    def _checked(self, recording: _Recording, batch: Batch, tensors: list[Tensor]) -> dict[str, Tensor]:
        """Return what the first replay of a recording gives, unless that differs from what the step as it is gives.

        The batch is not the recorded one, so a replay that does not read it is found out.
        """
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        losses = self._as_it_is(batch)
        expected = [parameter.grad for parameter in self.parameters]
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        found = self._replayed(recording, tensors)
        if _is_near(recording.gradients, expected) and _is_near(list(found.values()), list(losses.values())):
            recording.is_checked = True
            return found
        for parameter, gradient in zip(self.parameters, expected, strict=True):
            parameter.grad = gradient
        self._give_up("its gradients differ")
        return losses

    def _give_up(self, reason: str) -> None:
        self.capture = None
        self.recordings = {}
        console.once(
            "%s: the GPU cannot replay a step as a whole (%s), so each operation is started by itself, which is slower",
            self.title, reason,
        )  # fmt: skip


def _is_near(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> bool:
    """Return whether tensors, taken together, equal others apart from rounding."""
    if [x is None for x in found] != [x is None for x in expected]:
        return False
    pairs = [(x, y) for x, y in zip(found, expected, strict=True) if x is not None and y is not None]
    apart = sum(float((x - y).double().square().sum()) for x, y in pairs)
    return apart <= TOLERANCE**2 * sum(float(y.double().square().sum()) for _, y in pairs)


def _leaves(batch: object) -> Iterable[object]:
    """Yield the tensors and other objects in nested tuples."""
    if not isinstance(batch, tuple):
        yield batch
        return
    for part in batch:
        yield from _leaves(part)


def _with(batch: Any, tensors: Iterator[Tensor]) -> Any:
    """Return nested tuples with other tensors, taken in order."""
    if isinstance(batch, tuple):
        return tuple(_with(part, tensors) for part in batch)
    return next(tensors) if isinstance(batch, Tensor) else batch
