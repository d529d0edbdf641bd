"""The training loop of all networks, with its saved state and its resumption."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import check_place
from clusterkit.artifacts.header import Header, damaged
from clusterkit.augment import to_float
from clusterkit.config import Optimizer, Precision
from clusterkit.console import duration, progress
from clusterkit.datasets.base import Subset
from clusterkit.device import kept_memory, multiplying, seeded, send
from clusterkit.distributed import is_first, share, sum_all, sum_gradients, wait_for_all
from clusterkit.errors import DivergedError, is_out_of_memory
from clusterkit.networks.backbones import BackboneLayers
from clusterkit.networks.build import BackboneNet
from clusterkit.networks.global_norm import globalise
from clusterkit.replay import Steps, recorder_for
from clusterkit.sampling import Sampler
from clusterkit.states import other_run

log = logging.getLogger("clusterkit")

WARM_UP = 0.05
MOMENTUM = 0.9
SAVING = 0.05
"""The largest share of a training's time that saving its state may take; short epochs are not saved one by one."""
SLOWLY = 5
"""Steps between two updates of the slow weights."""
KEPT = 0.95**SLOWLY
"""The largest share of the slow weights that an update keeps; it grows with the cube of the share of steps done."""
LINES = 10
"""The most lines that tell of a training's progress, besides that of the first epoch."""
APART = 5.0
"""Seconds between two such lines, at least, so that hundreds of short trainings stay readable."""
Batch = TypeVar("Batch")
History = list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The length, learning rate and state file of a training.

    `key` is a hash of everything that the run depends on, so that no other run resumes from its state. The learning
    rate rises during the first 5 % of the steps and falls to zero along a cosine. With `drop_every` it is divided by
    ten after every `drop_every` epochs instead, and with `decay` multiplied by this after every epoch. The backbone's
    rate is `backbone_rate` times the learning rate. `nesterov` is for gradient descent; `rmsprop` replaces the
    optimizer. With `slow`, the result is a moving average of the weights, to which the weights return every few steps
    (lookahead, Zhang et al. 2019).
    """

    title: str
    epochs: int
    steps: int
    learning_rate: float
    seed: int
    state: Path
    key: str
    resume: bool = False
    precision: Precision = Precision.FP32
    optimizer: Optimizer = Optimizer.ADAM
    drop_every: int | None = None
    weight_decay: float = 0.0
    backbone_rate: float = 1.0
    nesterov: bool = False
    slow: bool = False
    decay: float | None = None
    rmsprop: bool = False


def batches_of(
    subset: Subset, sampler: Sampler, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's positions (B,) and this process's share of its items, on the device; images are in 0..1."""
    indices = list(sampler.epoch(generator))
    shares = (index[share(len(index)).rows] for index in indices)
    for index, items in zip(indices, subset.batches(shares, device), strict=True):
        yield send(index, device), to_float(items)


def fit(
    network: nn.Module,
    batches: Callable[[torch.Generator], Iterator[Batch]],
    step: Callable[[Batch], dict[str, Tensor]],
    plan: Plan,
    after: Callable[[int], bool | None] | None = None,
    before: Callable[[int], None] | None = None,
) -> History:
    """Train a network in place; return the mean of each loss in each epoch.

    `batches` yields the `plan.steps` batches of an epoch, with all that is random in them. `step` returns the losses of
    a batch by name; their sum is minimised. The seed and the number of an epoch determine its randomness, so a resumed
    run ends with the same bytes.
    `before` and `after` are called before and after each epoch with the number of finished epochs. The training ends
    where `after` returns True. Raises DivergedError if a loss or a weight is not finite, and InputError for a state of
    another run.

    With several processes, `step` returns this process's part of the losses of the batch. All processes take the same
    steps, which are those of a single process apart from rounding; the first process saves the state.
    """
    globalise(network)
    backbones = [module for module in network.modules() if isinstance(module, BackboneNet)]
    for module in backbones:
        module.bf16 = plan.precision is Precision.BF16
    optimizer = _optimizer(network, [module.backbone for module in backbones], plan)
    slow = _Slow(network) if plan.slow else None
    history, ended = _restore(network, optimizer, slow, plan) if plan.resume else ([], False)
    device = next(network.parameters()).device
    hooks = before is not None or after is not None
    recorder = recorder_for(device, plan.steps if hooks else plan.steps * plan.epochs)
    steps = Steps(plan.title, step, network, _parameters(optimizer), recorder)
    # The first process must not replace the state before every process has read it.
    wait_for_all()
    if is_first():
        # Adam keeps two numbers for each weight, and a slow average is one more.
        copies = 4 if plan.slow else 3
        check_place(plan.state, copies * sum(tensor.nbytes for tensor in network.state_dict().values()))
    saved_at, saving_time, reported_at = -math.inf, 0.0, 0.0
    started, resumed_at = time.monotonic(), len(history)
    with progress(plan.title, plan.epochs * plan.steps, resumed_at * plan.steps) as advance, kept_memory():
        for epoch in range(resumed_at, plan.epochs):
            if ended:
                break
            if before is not None:
                before(epoch)
            if hooks:
                steps.forget()
            history.append(_epoch(network, batches, steps, optimizer, slow, plan, epoch, advance))
            ended = after is not None and after(epoch + 1) is True
            trained_at = time.monotonic()
            last = ended or epoch + 1 == plan.epochs
            if is_first() and (last or trained_at - saved_at >= saving_time / SAVING):
                _save(network, optimizer, slow, plan, history, ended)
                saved_at = time.monotonic()
                saving_time = saved_at - trained_at
            seconds = time.monotonic() - started
            if epoch == 0 or last or (_ends_tenth(epoch + 1, plan) and seconds - reported_at >= APART):
                _report(plan, history, seconds, resumed_at, last=last)
                reported_at = seconds
    network.eval()
    return history


def _ends_tenth(epoch: int, plan: Plan) -> bool:
    """Return whether a tenth of the training ends with this epoch."""
    return epoch * LINES // plan.epochs != (epoch - 1) * LINES // plan.epochs


def _report(plan: Plan, history: History, seconds: float, resumed_at: int, *, last: bool) -> None:
    """Log the losses of the latest epoch, and the time left unless it is the last one."""
    epoch = len(history)
    losses = " ".join(f"{name} {mean:.4f}" for name, mean in history[-1].items())
    left = seconds * (plan.epochs - epoch) / (epoch - resumed_at)
    time_left = "" if last else f", {duration(left)} left"
    log.info("%s: epoch %d/%d, %s (%s%s)", plan.title, epoch, plan.epochs, losses, duration(seconds), time_left)


def _epoch(
    network: nn.Module,
    batches: Callable[[torch.Generator], Iterator[Batch]],
    steps: Steps[Batch],
    optimizer: torch.optim.Optimizer,
    slow: "_Slow | None",
    plan: Plan,
    epoch: int,
    advance: Callable[[], None],
) -> dict[str, float]:
    """Train for one epoch, and call `advance` after each batch; return the mean of each loss.

    Raises DivergedError if a loss or a weight is not finite.
    """
    generator = seeded(plan.seed, plan.title, epoch)
    parameters = _parameters(optimizer)
    network.train()
    totals: dict[str, Tensor] = {}
    with multiplying(plan.precision):
        for number, batch in enumerate(batches(generator)):
            _set_rate(optimizer, plan, epoch * plan.steps + number)
            losses = steps(batch)
            sum_gradients(parameters)
            optimizer.step()
            if slow is not None:
                slow.follow(network, epoch * plan.steps + number + 1, plan.epochs * plan.steps)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0) + value
            advance()
    means = {name: float(sum_all(total)) / plan.steps for name, total in totals.items()}
    statistics = [value for name, value in network.named_buffers() if "running_" in name]
    finite = all(bool(value.isfinite().all()) for value in (*parameters, *statistics))
    if not (finite and all(math.isfinite(mean) for mean in means.values())):
        raise DivergedError(f"{plan.title}: the loss is not finite in epoch {epoch + 1}; try a smaller --learning-rate")
    return means


def _optimizer(network: nn.Module, backbones: list[BackboneLayers], plan: Plan) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    slow = {id(weight) for backbone in backbones for weight in backbone.parameters() if plan.backbone_rate != 1}
    groups = [
        {"params": [weight for weight in parameters if (id(weight) in slow) is of_backbone], "times": times}
        for of_backbone, times in ((False, 1.0), (True, plan.backbone_rate))
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    if plan.rmsprop:
        return torch.optim.RMSprop(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    common = {"lr": plan.learning_rate, "weight_decay": plan.weight_decay, "fused": fused}
    if plan.optimizer is Optimizer.SGD:
        return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=plan.nesterov, **common)  # type: ignore[arg-type]
    return torch.optim.Adam(groups, **common)  # type: ignore[arg-type]


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * group["times"] * _share_of_rate(plan, step)


def _share_of_rate(plan: Plan, step: int) -> float:
    epoch = step // plan.steps
    if plan.drop_every is not None:
        return 0.1 ** (epoch // plan.drop_every)
    if plan.decay is not None:
        return plan.decay**epoch
    total = plan.epochs * plan.steps
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2


class _Slow:
    """The slow weights and statistics of a network, as Jordan's airbench for CIFAR-10 has them."""

    def __init__(self, network: nn.Module) -> None:
        self.values = {name: value.clone() for name, value in self._of(network).items()}

    @staticmethod
    def _of(network: nn.Module) -> dict[str, Tensor]:
        return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}

    def follow(self, network: nn.Module, done: int, total: int) -> None:
        """Move towards the network's weights after every few steps, and set these to the result; at the end stay."""
        if done % SLOWLY and done < total:
            return
        kept = KEPT * (done / total) ** 3 if done < total else 1.0
        for name, value in self._of(network).items():
            value.copy_(self.values[name].lerp_(value, 1 - kept))


def _save(
    network: nn.Module, optimizer: torch.optim.Optimizer, slow: _Slow | None, plan: Plan, history: History, ended: bool
) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    if slow is not None:
        tensors |= {f"slow.{name}": value for name, value in slow.values.items()}
    extra = {"key": plan.key, "history": history, "ended": ended}
    header = Header("state", plan.title, {}, plan.seed, "any", extra=extra)
    write_checkpoint(plan.state, header, tensors, durable=False)


def _restore(
    network: nn.Module, optimizer: torch.optim.Optimizer, slow: _Slow | None, plan: Plan
) -> tuple[History, bool]:
    """Load a saved state into network, optimizer and slow weights.

    Return its history and whether the training had ended early; without a saved state the history is empty.
    """
    if not plan.state.exists():
        return [], False
    header, tensors = read_checkpoint(plan.state, "state")
    if header.extra.get("key") != plan.key:
        raise other_run(plan.state)
    try:
        network.load_state_dict(
            {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        )
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise damaged(plan.state, "state") from error
    if slow is not None:
        for name, value in slow.values.items():
            value.copy_(tensors[f"slow.{name}"])
    parameters = _parameters(optimizer)
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, entry = name.split(".", 2)
            parameter = parameters[int(number)]
            # The fused step reads a moment in the memory layout of its parameter.
            aligned = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
            states.setdefault(int(number), {})[entry] = aligned
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    history: History = header.extra["history"]
    log.info("%s: resumed after epoch %d", plan.title, len(history))
    return history, bool(header.extra.get("ended"))
