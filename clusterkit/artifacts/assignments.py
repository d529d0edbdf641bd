"""`assignments.h5`: the cluster of each item."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.artifacts.checkpoint import to_bytes
from clusterkit.artifacts.files import sha256, together
from clusterkit.artifacts.hdf5 import Group, fill_hdf5, read_hdf5, write_hdf5
from clusterkit.artifacts.header import Header, damaged


@dataclass(frozen=True)
class Assignment:
    """The clusters of one subset: `id` (N,) int64, `cluster` (N,) int32, -1 for none, and `prob` (N, K) float32."""

    id: NDArray[np.int64]
    cluster: NDArray[np.int32]
    prob: NDArray[np.float32]

    @property
    def k(self) -> int:
        return int(self.prob.shape[1])


def write_assignments(path: Path, header: Header, subsets: Mapping[str, Assignment]) -> None:
    """Write the assignments of all subsets."""
    write_hdf5(path, header, groups(subsets))


def write_with_network(
    path: Path, header: Header, subsets: Mapping[str, Assignment],
    network_path: Path, network_header: Header, tensors: Mapping[str, Tensor],
) -> None:  # fmt: skip
    """Write assignments and the networks that made them, both files or neither; `header` gets the networks' hash."""
    with together(path, network_path) as (assignments, network):
        network.write_bytes(to_bytes(network_header, tensors, network_path.parent))
        inputs = {**header.inputs, network_header.format: sha256(network)}
        fill_hdf5(assignments, replace(header, inputs=inputs), groups(subsets))


def groups(subsets: Mapping[str, Assignment]) -> dict[str, Group]:
    return {title: vars(subset) for title, subset in subsets.items()}


def read_assignments(path: Path) -> tuple[Header, dict[str, Assignment]]:
    """Read assignments. Raises InputError for a file that is missing, foreign or damaged."""
    header, groups = read_hdf5(path, "assignments")
    try:
        return header, {title: Assignment(**group) for title, group in groups.items()}  # type: ignore[arg-type]
    except TypeError as error:
        raise damaged(path, "assignments") from error
