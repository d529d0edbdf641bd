"""The one training loop. Its state, its checkpoints on the way and its resumption live here and nowhere else."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import make_folder, write_text
from clusterkit.artifacts.header import Header, damaged
from clusterkit.augment import to_float
from clusterkit.config import Optimizer, Precision
from clusterkit.console import progress
from clusterkit.datasets.base import Subset
from clusterkit.device import multiplying, seeded, send
from clusterkit.distributed import is_first, share, sum_all, sum_gradients, wait_for_all
from clusterkit.errors import DivergedError, InputError
from clusterkit.networks.backbones import BackboneLayers
from clusterkit.networks.build import BackboneNet
from clusterkit.networks.global_norm import globalise
from clusterkit.sampling import Sampler

log = logging.getLogger("clusterkit")

WARM_UP = 0.05
MOMENTUM = 0.9
SAVING = 0.05
"""The share of a training's time that keeping its state may take; short epochs are not each worth it."""
Batch = TypeVar("Batch")
History = list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to train, and where the state is kept.

    `key` names everything that the run depends on, so that a state is never carried into another run. The learning
    rate rises shortly and falls to zero along a cosine; with `drop_every` it starts at its height and is divided by ten
    after each so many epochs. That of the backbone is `backbone_rate` times the rate.
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


def batches_of(
    subset: Subset, sampler: Sampler, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's positions (B,) and this process's share of the items, images scaled to 0..1, on the device."""
    indices = list(sampler.epoch(generator))
    own = (index[share(len(index)).rows] for index in indices)
    for index, items in zip(indices, subset.batches(own, device), strict=True):
        yield send(index, device), to_float(items)


def fit(
    network: nn.Module,
    batches: Callable[[torch.Generator], Iterator[Batch]],
    step: Callable[[Batch, torch.Generator], dict[str, Tensor]],
    plan: Plan,
    after: Callable[[int], None] | None = None,
) -> History:
    """Train a network in place; return the mean of each loss in each epoch.

    `batches` yields `plan.steps` batches an epoch; `step` turns one into losses by name, which are added up. All
    randomness of an epoch follows from the seed and the epoch's number, so a run that goes on from a saved state ends
    in the same bytes. `after` is called with the number of epochs done, after each.

    On several processes the losses are each one's part of those of the batch. All take the same steps, to within
    rounding those of one process; the first keeps the state.
    """
    globalise(network)
    inner = [module for module in network.modules() if isinstance(module, BackboneNet)]
    for module in inner:
        module.bf16 = plan.precision is Precision.BF16
    optimizer = _optimizer(network, [module.backbone for module in inner], plan)
    parameters = _parameters(optimizer)
    history = _restore(network, optimizer, plan) if plan.resume else []
    # Before every process has read the state, the first must not remove it.
    wait_for_all()
    saved, cost = -math.inf, 0.0
    for epoch in range(len(history), plan.epochs):
        start = time.monotonic()
        generator = seeded(plan.seed, plan.title, epoch)
        network.train()
        totals: dict[str, Tensor] = {}
        with progress(f"{plan.title}, epoch {epoch + 1}", plan.steps) as advance, multiplying(plan.precision):
            for number, batch in enumerate(batches(generator)):
                _set_rate(optimizer, plan, epoch * plan.steps + number)
                losses = step(batch, generator)
                optimizer.zero_grad(set_to_none=True)
                torch.stack(list(losses.values())).sum().backward()
                sum_gradients(parameters)
                optimizer.step()
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0) + value.detach()
                advance()
        means = {name: float(sum_all(total)) / plan.steps for name, total in totals.items()}
        finite = all(bool(parameter.isfinite().all()) for parameter in parameters)
        if not (finite and all(math.isfinite(mean) for mean in means.values())):
            raise DivergedError(
                f"{plan.title}: the loss is no longer a number in epoch {epoch + 1}; try a smaller --learning-rate"
            )
        history.append(means)
        if after is not None:
            after(epoch + 1)
        ended = time.monotonic()
        if is_first() and (epoch + 1 == plan.epochs or ended - saved >= cost / SAVING):
            _save(network, optimizer, plan, history)
            saved = time.monotonic()
            cost = saved - ended
        shown = " ".join(f"{name} {mean:.4f}" for name, mean in means.items())
        log.info(
            "%s: epoch %d/%d, %s (%.0f s)",
            plan.title,
            epoch + 1,
            plan.epochs,
            shown,
            time.monotonic() - start,
        )
    network.eval()
    return history


def _optimizer(network: nn.Module, backbones: list[BackboneLayers], plan: Plan) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    slow = {id(parameter) for backbone in backbones for parameter in backbone.parameters()}
    if plan.backbone_rate == 1:
        slow = set()
    groups = [
        {"params": [one for one in parameters if (id(one) in slow) is of_backbone], "times": times}
        for of_backbone, times in ((False, 1.0), (True, plan.backbone_rate))
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    common = {"lr": plan.learning_rate, "weight_decay": plan.weight_decay, "fused": fused}
    if plan.optimizer is Optimizer.SGD:
        return torch.optim.SGD(groups, momentum=MOMENTUM, **common)  # type: ignore[arg-type]
    return torch.optim.Adam(groups, **common)  # type: ignore[arg-type]


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * group["times"] * _share_of_rate(plan, step)


def _share_of_rate(plan: Plan, step: int) -> float:
    if plan.drop_every is not None:
        return 0.1 ** (step // plan.steps // plan.drop_every)
    total = plan.epochs * plan.steps
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2


def _save(network: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, history: History) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    extra = {"key": plan.key, "history": history}
    header = Header("state", plan.title, {}, plan.seed, "any", extra=extra)
    write_checkpoint(plan.state, header, tensors, durable=False)


def _restore(network: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan) -> History:
    """Take up a saved state; return its history, empty where there is none."""
    if not plan.state.exists():
        return []
    header, tensors = read_checkpoint(plan.state, "state")
    if header.extra.get("key") != plan.key:
        raise other_run(plan.state)
    try:
        network.load_state_dict(
            {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        )
    except RuntimeError as error:
        raise damaged(plan.state, "state") from error
    parameters = _parameters(optimizer)
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, entry = name.split(".", 2)
            parameter = parameters[int(number)]
            # The fused step reads a moment in the order of its parameter in memory.
            same = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
            states.setdefault(int(number), {})[entry] = same
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    history: History = header.extra["history"]
    log.info("%s: resumed after epoch %d", plan.title, len(history))
    return history


def other_run(state: Path) -> InputError:
    return InputError(
        f"{state}: the state of a run with other settings, inputs, seed, device or versions; "
        "repeat the command that was interrupted, or start again without --resume"
    )


@dataclass(frozen=True)
class StateFolder:
    """The folder beside an output in which its training keeps its state, one file a network.

    Without `resume` a folder left by an interrupted run is emptied at the start, which is said. Raises InputError
    where no folder can be made: better before the training than after it. Only the first process touches the folder.
    """

    output: Path
    resume: bool

    def __post_init__(self) -> None:
        if not is_first():
            return
        left = self.path.exists()
        if left and not self.resume:
            log.info("%s: discarding the state of an interrupted run (--resume would go on with it)", self.output)
            self.remove()
        if self.resume and not left:
            log.info("%s: no interrupted run to resume, starting from the beginning", self.output)
        make_folder(self.path, self.output)

    @property
    def path(self) -> Path:
        return self.output.with_name(f".{self.output.name}.state")

    def file(self, name: str) -> Path:
        return self.path / f"{name}.safetensors"

    def check_key(self, key: str) -> None:
        """Raise InputError where what is in the folder belongs to a run that depended on something else."""
        place = self.path / "key"
        if place.exists() and place.read_text() != key:
            raise other_run(place)
        write_text(place, key)

    def remove(self) -> None:
        if is_first():
            shutil.rmtree(self.path, ignore_errors=True)
