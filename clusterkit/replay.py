"""Losses and gradients of training steps, which a GPU replays as a whole instead of one operation after another.

A GPU finishes the operations of a small batch sooner than the CPU can start them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from clusterkit import console
from clusterkit.distributed import size

Batch = TypeVar("Batch")
Form = tuple[tuple[torch.Size, torch.dtype] | None, ...]
"""Shape and type of each tensor of a batch, and None for each None."""
Outputs = list[Tensor | None]

FEWEST = 50
"""Steps for which a recording is made at least; for fewer it takes longer than it saves."""
MOST = 4
"""Recordings at a time at most. Each keeps the memory of a step."""
TOLERANCE, FLOOR = 0.05, 1e-3
"""The largest distance of a tensor of the first replay from that of the same step as it is: shares of this tensor's
norm, and of the norm of all."""


class Recorder(Protocol):
    """How a device records work and repeats it."""

    def strict(self) -> AbstractContextManager[None]:
        """Raise an error, within the block, at what cannot be recorded."""

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Record work; return the tensors that its replay writes to, and the replay."""


class Gpu:
    """Records work as a CUDA graph on one GPU."""

    failed: ClassVar[list[torch.cuda.CUDAGraph]] = []
    """Recordings of this process that failed. The allocator may still refer to one, so it must live on."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    @contextmanager
    def strict(self) -> Iterator[None]:
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        try:
            outputs = self._record(graph, work)
        except Exception:
            self.failed.append(graph)
            # Drawing random numbers on this GPU fails until another recording has ended.
            with suppress(Exception):
                self._record(torch.cuda.CUDAGraph(), lambda: [torch.zeros(1, device=self.stream.device)])
            raise
        return outputs, graph.replay

    def _record(self, graph: torch.cuda.CUDAGraph, work: Callable[[], Outputs]) -> Outputs:
        # A recording that fails does not change back to the current stream, so the outer block does. Other threads,
        # which read the next images, may use the GPU meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self.stream.device)),
            torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            return work()


def recorder_for(device: torch.device, steps: int) -> Recorder | None:
    """Return what records steps on a device, or None if they run as they are.

    They do on a CPU, on several devices, if they are few, and after a recording that failed in this process.
    """
    is_worth_it = device.type == "cuda" and size() == 1 and steps >= FEWEST
    return Gpu(device) if is_worth_it and not Gpu.failed else None


@dataclass
class _Recording:
    """A recorded step: the tensors that it reads, its losses and its gradients."""

    inputs: list[Tensor]
    losses: dict[str, Tensor]
    gradients: Outputs
    replay: Callable[[], None]
    is_checked: bool = False


class Steps(Generic[Batch]):
    """The steps of a training of `parameters`, by replay if there is a `recorder`.

    `step` returns the losses of a batch by name. Only batches of tensors on the device, in nested tuples, are replayed.
    The step must not draw random numbers, nor depend on anything but the batch and tensors that are changed in place.
    What cannot be recorded, or whose replay gives other gradients, runs as it is, and a log line says so.
    """

    def __init__(
        self, title: str, step: Callable[[Batch], dict[str, Tensor]], network: nn.Module,
        parameters: Sequence[nn.Parameter], recorder: Recorder | None,
    ) -> None:  # fmt: skip
        self.title, self.step, self.network, self.parameters = title, step, network, parameters
        self.recorder = recorder
        self.prepared: set[Form] = set()
        self.recordings: dict[Form, _Recording] = {}

    def forget(self) -> None:
        """Record anew what follows, because more than batches may have changed."""
        self.recordings = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch by name, and leave their gradients in the parameters."""
        form = None if self.recorder is None else self._form(batch)
        if self.recorder is None or form is None:
            return self._as_it_is(batch)
        if form not in self.prepared:
            # In a first step, libraries set themselves up, which cannot be recorded.
            self.prepared.add(form)
            return self._as_it_is(batch)
        recording = self.recordings.get(form)
        if recording is not None and recording.is_checked:
            return self._replayed(recording, batch)
        if recording is None and len(self.recordings) >= MOST:
            return self._as_it_is(batch)
        before = [buffer.clone() for buffer in self.network.buffers()]
        try:
            if recording is not None:
                return self._checked(recording, batch)
            with self.recorder.strict():
                losses = self._as_it_is(batch)
            self.recordings[form] = self._record(batch, self.recorder)
            return losses
        except Exception as error:  # drivers raise errors of many types
            self._give_up(_cause(error))
        self._restore(before)
        return self._as_it_is(batch)

    def _form(self, batch: Batch) -> Form | None:
        """Return the form of a batch, None if it holds anything that a recording would not read anew."""
        leaves, device = list(_leaves(batch)), self.parameters[0].device
        if not all(leaf is None or (isinstance(leaf, Tensor) and leaf.device == device) for leaf in leaves):
            return None
        return tuple((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else None for leaf in leaves)

    def _as_it_is(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.step(batch)
        for parameter in self.parameters:
            parameter.grad = None
        torch.stack(list(losses.values())).sum().backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _record(self, batch: Batch, recorder: Recorder) -> _Recording:
        inputs, names = [tensor.clone() for tensor in _leaves(batch) if isinstance(tensor, Tensor)], list[str]()
        own = _with(batch, iter(inputs))
        gradients = [parameter.grad for parameter in self.parameters]

        def work() -> Outputs:
            losses = self._as_it_is(own)
            names[:] = losses
            return [*losses.values(), *(parameter.grad for parameter in self.parameters)]

        outputs, replay = recorder.record(work)
        self._leave(gradients)
        losses = {name: loss for name, loss in zip(names, outputs, strict=False) if loss is not None}
        return _Recording(inputs, losses, outputs[len(names) :], replay)

    def _replayed(self, recording: _Recording, batch: Batch) -> dict[str, Tensor]:
        given = (leaf for leaf in _leaves(batch) if isinstance(leaf, Tensor))
        for own, tensor in zip(recording.inputs, given, strict=True):
            own.copy_(tensor)
        recording.replay()
        self._leave(recording.gradients)
        return recording.losses

    def _checked(self, recording: _Recording, batch: Batch) -> dict[str, Tensor]:
        """Return what the first replay of a recording gives; raise ValueError if that is not what the step gives."""
        before = [buffer.clone() for buffer in self.network.buffers()]
        losses = self._as_it_is(batch)
        expected = [*losses.values(), *(parameter.grad for parameter in self.parameters)]
        if not all(bool(value.isfinite().all()) for value in expected if value is not None):
            return losses  # the training is about to end with an error, which is not one of the replay
        self._restore(before)
        for value in (*recording.losses.values(), *recording.gradients):
            if value is not None:
                value.fill_(torch.nan)
        found = self._replayed(recording, batch)
        if not _is_near([*found.values(), *recording.gradients], expected):
            raise ValueError("its gradients differ")
        recording.is_checked = True
        return found

    def _leave(self, gradients: Outputs) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient

    def _restore(self, buffers: list[Tensor]) -> None:
        for buffer, value in zip(self.network.buffers(), buffers, strict=True):
            buffer.copy_(value)

    def _give_up(self, reason: str) -> None:
        self.recorder = None
        self.recordings = {}
        torch.cuda.empty_cache()
        console.once(
            "%s: the GPU cannot replay a step as a whole (%s), so each operation is started by itself, which is slower",
            self.title, reason,
        )  # fmt: skip


def _cause(error: BaseException) -> str:
    """Return the first line of the error with which the trouble began."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_near(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> bool:
    """Return whether each tensor equals the expected one apart from rounding."""
    if [x is None for x in found] != [x is None for x in expected]:
        return False
    pairs = [(x.double(), y.double()) for x, y in zip(found, expected, strict=True) if x is not None and y is not None]
    floor = FLOOR * sum(float(y.square().sum()) for _, y in pairs) ** 0.5
    return all(float((x - y).norm()) <= TOLERANCE * float(y.norm()) + floor for x, y in pairs)


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
