"""Several processes that train one network: each has its rows of every batch, and together they are one batch.

`torchrun` starts them and says in the environment which one this is. Outside of `joined` every function here is that
of a process alone: it returns what it is given and sends nothing.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from clusterkit.device import choose_device
from clusterkit.errors import ClusterkitError, UsageError

MEETING = timedelta(seconds=60)
"""How long to wait for all processes to be there."""
WORKING = timedelta(days=1)
"""How long to wait for one that is there: all wait while the first predicts pairs. One that ends closes its
connections, which the others notice at once."""


class LostError(ClusterkitError):
    """Another process of this run has ended."""

    def __init__(self) -> None:
        super().__init__("another process of this run has ended; its own message, if it had one, says why")


def local_device(name: str) -> str:
    """Return the device of this process for `--device`: of several GPUs its own. Raises UsageError for one of all."""
    device = choose_device(name)
    if str(device) == "cuda":
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if device.type != "cpu":
        raise UsageError(f"--device {name}: several processes cannot share one; use cuda (a GPU each) or cpu")
    return name


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Be one of the processes that torchrun started, over NCCL where they compute on GPUs and over gloo otherwise.

    Raises ClusterkitError where not all of them come within a minute. A process that torchrun ends, because another
    one failed, ends as on an error: without a half-written file.
    """
    chosen = choose_device(device)
    cuda = chosen.type == "cuda"
    if cuda:
        torch.cuda.set_device(chosen)
    before = signal.signal(signal.SIGTERM, _ended)
    try:
        _meet("cpu:gloo,cuda:nccl" if cuda else "gloo")
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if dist.is_initialized():
            dist.destroy_process_group()


def _meet(backend: str) -> None:
    try:
        store, number, count = next(rendezvous("env://", timeout=MEETING))
        # Not waiting in init_process_group, whose one timeout also holds for all that follows.
        store.set(f"clusterkit/{number}", "here")
        store.wait([f"clusterkit/{other}" for other in range(count)], MEETING)
        dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=WORKING)
        # Who ended now, before all others are connected to it, would take them down without a word.
        wait_for_all()
    except (RuntimeError, ValueError) as error:
        raise ClusterkitError(
            f"not all {os.environ['WORLD_SIZE']} processes of this run came together ({error}); start them by torchrun"
        ) from error


def _ended(number: int, frame: object) -> None:
    raise LostError


def size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which one of them this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the process that writes files."""
    return rank() == 0


@dataclass(frozen=True)
class Share:
    """A process's rows of a batch of `total`: those from `start` up to `stop`."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def weight(self) -> float:
        """What a mean over these rows counts in the mean over the batch."""
        return (self.stop - self.start) / self.total


def share(total: int) -> Share:
    """Return this process's rows of a batch. Raises UsageError where there are not enough for each process."""
    if total < size():
        raise UsageError(f"a batch of {total} cannot be shared by {size()} processes; start fewer or enlarge the batch")
    return Share(rank() * total // size(), (rank() + 1) * total // size(), total)


def _together(function: Callable[..., object], *arguments: object) -> None:
    """Call a collective operation of torch's. Raises LostError where another process does not take part."""
    try:
        function(*arguments)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LostError from error


def sum_all(x: Tensor) -> Tensor:
    """Return the sum of every process's `x`, of one shape, without gradient; `x` itself may be overwritten."""
    if size() > 1:
        _together(dist.all_reduce, x)
    return x


def stack_all(x: Tensor) -> Tensor:
    """Return every process's `x`, of one shape, in the order of the processes: (R, *shape), without gradient."""
    if size() == 1:
        return x[None]
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
    _together(dist.all_gather, parts, x.contiguous())
    return torch.stack(parts)


def gather_rows(x: Tensor) -> Tensor:
    """Return the rows of all processes, (B, ...) from (b, ...), in the order of the processes; b may differ.

    With gradient: what each process's part of a loss says of a row is added up where the row came from.
    """
    if size() == 1:
        return x
    result: Tensor = _GatherRows.apply(x)
    return result


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        counts = stack_all(torch.tensor(len(x))).tolist()
        ctx.start, ctx.count = sum(counts[: rank()]), len(x)
        padded = torch.cat([x, x.new_zeros(max(counts) - len(x), *x.shape[1:])])
        return torch.cat([part[:count] for part, count in zip(stack_all(padded), counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Tensor:
        return sum_all(outer[0].clone(memory_format=torch.contiguous_format)).narrow(0, ctx.start, ctx.count)


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up the gradients of all processes, in one message, in place."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = sum_all(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def hand_to_first(x: Tensor, owner: int) -> None:
    """Copy `x`, on the CPU, from the process that owns it into that of the first, in place; others do nothing."""
    if owner == rank() != 0:
        _together(dist.send, x.contiguous(), 0)
    elif is_first() and owner != 0:
        _together(dist.recv, x, owner)


def first_says(number: int) -> int:
    """Return the number that the first process calls this with."""
    return int(sum_all(torch.tensor(number if is_first() else 0)))


def wait_for_all() -> None:
    """Return when every process has come here."""
    sum_all(torch.zeros(()))


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something before the others do it: download a file that all of them read, say."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()
