"""Cuts a network in two: a front that computes what its last blocks read, and a tail that can be trained on it."""

import inspect
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from clusterkit.errors import is_out_of_memory
from clusterkit.networks.backbones import BackboneLayers

PART = 64
"""Items of which a prediction computes the features at a time."""
SEVERAL = "has blocks that read more than one value; choose another model"
LISTS = (nn.Sequential, nn.ModuleList)


class Tail(BackboneLayers):
    """The last blocks of a fixed backbone and what follows them, from flat maps (B, prod(shape)) to features (B, D).

    `width` is D, and `shape` that of a map: (C, H, W), (H, W, C), or (T, C) for tokens. `network` reads (B, *shape).
    It stays as in evaluation while it is trained: batch normalisation keeps its statistics, and nothing is dropped.
    """

    def __init__(self, width: int, shape: tuple[int, ...], network: nn.Module) -> None:
        super().__init__(width, nn.Unflatten(1, shape), network)
        self.train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (B, D)."""
        maps, network = self
        # Without gradients the blocks of a prediction are many more items than a batch of a training.
        parts = [x] if torch.is_grad_enabled() else x.split(PART)
        return torch.cat([network(maps(part)) for part in parts])

    def train(self, mode: bool = True) -> "Tail":
        super().train(False)
        return self


def split(network: nn.Module, count: int) -> tuple[nn.Module, nn.Module]:
    """Return a network without its last `count` blocks and what follows them, and these as a network of their own.

    The first makes maps (B, C, H, W), (B, H, W, C) or (B, T, C) of pictures (B, 3, S, S), and the second reads them.
    Both share their layers with the network. Raises ValueError, as the end of a sentence about the network, if it has
    fewer blocks, or if they read more than one value that the front computes.
    """
    names = set(_blocks(network))
    try:
        graph = _Tracer(names).trace(network.eval(), _defaults(network))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # What cannot be traced fails in many ways.
        raise ValueError("has no blocks that can be trained alone; choose another model") from error
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target in names]
    if count > len(calls):
        have = "1 block" if len(calls) == 1 else f"{len(calls)} blocks"
        advice = f"give a number up to {len(calls)}" if calls else "choose another model"
        raise ValueError(f"has {have if calls else 'no blocks'} that can be trained; {advice}")
    middle = next(iter(calls[-count].args), None)
    if not isinstance(middle, fx.Node):
        raise ValueError(SEVERAL)
    before = _needed(middle)
    front, tail = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in before:
            copies[node] = front.node_copy(node, copies.__getitem__)
    front.output(copies[middle])
    copies = {middle: tail.placeholder("maps")}
    [last] = [node for node in graph.nodes if node.op == "output"]
    after = _needed(last) - before
    try:
        for node in graph.nodes:
            if node in after:
                copies[node] = tail.node_copy(node, copies.__getitem__)
    except KeyError as error:
        raise ValueError(SEVERAL) from error
    return fx.GraphModule(network, front), fx.GraphModule(network, tail)


def _blocks(network: nn.Module, name: str = "") -> Iterator[str]:
    """Yield the names of the blocks: the modules of several layers in a list of modules, and in no other block."""
    for key, child in network.named_children():
        inner = f"{name}{key}"
        if isinstance(network, LISTS) and not isinstance(child, LISTS) and any(True for _ in child.children()):
            yield inner
        else:
            yield from _blocks(child, f"{inner}.")


def _defaults(network: nn.Module) -> dict[str, Any]:
    """Return the default values of what a network takes besides pictures."""
    _, *others = inspect.signature(network.forward).parameters.items()
    return {name: parameter.default for name, parameter in others if parameter.default is not parameter.empty}


class _Tracer(fx.Tracer):
    """Reads the order in which a network calls its blocks and its other modules, but not what these do inside."""

    def __init__(self, blocks: Collection[str]) -> None:
        from timm.models import get_notrace_functions

        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self.blocks = blocks

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(name.startswith(f"{module_qualified_name}.") for name in self.blocks)


def _needed(node: fx.Node) -> set[fx.Node]:
    """Return a node of a graph and all that it is computed from."""
    seen, waiting = {node}, [node]
    while waiting:
        for other in waiting.pop().all_input_nodes:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen
