"""Training one network in several processes: each process computes a share of the rows of every batch.

`torchrun` starts the processes and tells each its number in the environment. Outside of `joined`, and with a single
process, the functions here send nothing.
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
from clusterkit.errors import ClusterkitError, UsageError, is_out_of_memory

MEETING = timedelta(seconds=60)
"""How long a process waits for all others to start."""
WORKING = timedelta(days=1)
"""How long a process waits for a running one: all wait while the first predicts pairs. A process that ends closes its
connections, which the others notice at once."""


class LostError(ClusterkitError):
    """Another process of this run has ended before its work was done."""

    def __init__(self) -> None:
        super().__init__("another process of this run has ended; its own message, if any, gives the reason")


def local_device(name: str) -> str:
    """Return the device of this process for `--device`. Raises UsageError for a device that processes cannot share."""
    device = choose_device(name)
    if str(device) == "cuda":
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if device.type != "cpu":
        raise UsageError(f"--device {name}: several processes cannot share one; use cuda (one GPU per process) or cpu")
    return name


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Connect the processes that torchrun started, by NCCL for tensors on GPUs and by gloo for others.

    Raises ClusterkitError if not all of them start within a minute. If torchrun ends a process because another one
    failed, LostError is raised in it, so that it leaves no half-written file.
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
        # Wait here, because the timeout of init_process_group also holds for all later operations.
        store.set(f"clusterkit/{number}", "here")
        store.wait([f"clusterkit/{other}" for other in range(count)], MEETING)
        dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=WORKING)
        # A process that ends before all others are connected to it would end them without a message.
        wait_for_all()
    except (RuntimeError, ValueError) as error:
        raise ClusterkitError(
            f"not all {os.environ['WORLD_SIZE']} processes of this run came together ({error}); "
            "start them with torchrun"
        ) from error


def _ended(number: int, frame: object) -> None:
    raise LostError


def size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the first process, which writes the files."""
    return rank() == 0


@dataclass(frozen=True)
class Share:
    """The rows from `start` to before `stop` of a batch of `total`, which one process computes."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def weight(self) -> float:
        """Return the weight of the mean over these rows in the mean over the batch."""
        return (self.stop - self.start) / self.total


def share(total: int) -> Share:
    """Return this process's rows of a batch. Raises UsageError for a batch with fewer rows than processes."""
    if total < size():
        raise UsageError(
            f"a batch of {total} cannot be shared by {size()} processes; start fewer processes or enlarge the batch"
        )
    return Share(rank() * total // size(), (rank() + 1) * total // size(), total)


def _together(function: Callable[..., object], *arguments: object) -> None:
    """Call a collective operation of torch. Raises LostError if another process does not take part."""
    try:
        function(*arguments)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise LostError from error


def sum_all(x: Tensor) -> Tensor:
    """Return the sum of `x` over all processes, without gradient; all have one shape, and `x` may be overwritten."""
    if size() > 1:
        _together(dist.all_reduce, x)
    return x


def stack_all(x: Tensor) -> Tensor:
    """Return `x` of all R processes in their order, (R, *shape), without gradient; all have one shape."""
    if size() == 1:
        return x[None]
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
    _together(dist.all_gather, parts, x.contiguous())
    return torch.stack(parts)


def gather_rows(x: Tensor) -> Tensor:
    """Return the rows of all processes in their order, (B, ...) from (b, ...); b may differ between processes.

    The gradients of a row from all processes are summed in the process that the row comes from.
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
    """Replace the gradients by their sums over all processes, in one message."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = sum_all(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def hand_to_first(x: Tensor, owner: int) -> None:
    """Copy the CPU tensor `x` of process `owner` into `x` of the first process, in place; others do nothing."""
    if owner == rank() != 0:
        _together(dist.send, x.contiguous(), 0)
    elif is_first() and owner != 0:
        _together(dist.recv, x, owner)


def first_says(number: int) -> int:
    """Return `number` of the first process in all processes."""
    return int(sum_all(torch.tensor(number if is_first() else 0)))


def wait_for_all() -> None:
    """Wait until every process has called this."""
    sum_all(torch.zeros(()))


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process run a block before the others, for example to download a file that all of them read."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()
