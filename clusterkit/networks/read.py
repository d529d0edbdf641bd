"""Networks as they are stored in checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from clusterkit.artifacts.assignments import check_names
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.header import Header, damaged
from clusterkit.errors import InputError, is_out_of_memory
from clusterkit.networks.build import Architecture, BackboneNet, ClusterNet, SimilarityNet, TailOf
from clusterkit.networks.typical import Typical, read_typical


def state_of(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return one state dict for several networks, with keys prefixed by their subsets."""
    return {f"{title}.{name}": value for title, net in networks.items() for name, value in net.state_dict().items()}


def load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict. Raises RuntimeError if it is of another network, and InputError if it is not finite."""
    network.load_state_dict(state)
    if not all(value.isfinite().all() for value in state.values()):
        raise InputError(f"{path}: has weights that are not finite; name another file, or train the network again")


def read_g(path: Path) -> tuple[Header, SimilarityNet]:
    """Read G. Raises InputError for any other file."""
    header, state = read_checkpoint(path, "g")
    try:
        network = SimilarityNet(Architecture.from_header(header.extra["network"]))
        load(network, state, path)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise damaged(path, "g") from error
    return header, network.eval()


def read_start(path: Path) -> tuple[Header, BackboneNet]:
    """Read the network of a file of `pretrain` or `train-g`, for its backbone. Raises InputError for any other file."""
    if read_checkpoint(path, "pretrained|g")[0].format == "g":
        return read_g(path)
    header, networks = read_cluster_nets(path)
    [network] = networks.values()
    return header, network


def read_trainable(path: Path) -> tuple[Header, BackboneNet]:
    """Read the network of `read_start` for a training that changes its backbone. Raises InputError for a metric."""
    header, start = read_start(path)
    if start.architecture.backbone is None:
        raise InputError(
            f"{path}: a metric of fixed features is no start for a training; name a G of --head pair, or leave out "
            "--init"
        )
    return header, start


def read_cluster_nets(path: Path) -> tuple[Header, dict[str, ClusterNet]]:
    """Read the networks of `cluster`, `adapt` or `pretrain`, by subset. Raises InputError for any other file."""
    header, networks = read_with_typical(path)
    return header, {title: network for title, (network, _) in networks.items()}


def read_with_typical(path: Path) -> tuple[Header, dict[str, tuple[ClusterNet, Typical]]]:
    """Read the networks as `read_cluster_nets` does, and what each knows of the items of its clusters."""
    header, state = read_checkpoint(path, "ccn|adapted|pretrained")
    try:
        nets = {
            title: _cluster_net(fields, title, state, header.dataset, path)
            for title, fields in header.extra["networks"].items()
        }
        networks = {title: (network, read_typical(state, title, network)) for title, network in nets.items()}
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise damaged(path, header.format) from error
    if not networks:
        raise damaged(path, header.format)
    check_names(header, path, {title: network.architecture.outputs for title, network in nets.items()})
    return header, networks


def _cluster_net(
    fields: dict[str, Any], title: str, state: Mapping[str, Tensor], dataset: Mapping[str, Any], path: Path
) -> ClusterNet:
    architecture = Architecture.from_header(fields)
    _check_cut(architecture, dataset.get("features", []))
    network = ClusterNet(architecture)
    prefix = f"{title}."
    load(network, {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}, path)
    return network.eval()


def _check_cut(architecture: Architecture, features: list[dict[str, Any]]) -> None:
    """Raise ValueError if the fixed backbones of a data set are not cut where the blocks of the network begin."""
    if architecture.tail is None:
        if any("blocks" in entry for entry in features):
            raise ValueError("the features are maps, but the network has no blocks for them")
        return
    [entry] = features
    cut = TailOf.from_header({name: entry[name] for name in TailOf.__dataclass_fields__})
    if cut != architecture.tail or architecture.shape != (entry["width"],):
        raise ValueError("the features are other maps than the blocks read")
