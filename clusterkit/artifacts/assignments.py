"""`assignments.h5`: the cluster of each item."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.artifacts.checkpoint import to_bytes
from clusterkit.artifacts.files import sha256, together
from clusterkit.artifacts.hdf5 import Array, Group, fill_hdf5, read_hdf5, write_hdf5
from clusterkit.artifacts.header import Header, damaged, remedy
from clusterkit.errors import InputError


@dataclass(frozen=True)
class Assignment:
    """The clusters of one subset: `id` (N,) int64, `cluster` (N,) int32, -1 for none, and `prob` (N, K) float32.

    `name_digest` (N,) uint64 are digests of the items' names, None for items without names. `unlike` (N,) float32 says
    how unlike all clusters an item is, and above 1 that it is unlike them; None if nothing was there to compare with.
    """

    id: NDArray[np.int64]
    cluster: NDArray[np.int32]
    prob: NDArray[np.float32]
    name_digest: NDArray[np.uint64] | None = None
    unlike: NDArray[np.float32] | None = None

    @property
    def k(self) -> int:
        return int(self.prob.shape[1])

    @property
    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name, without those that are None."""
        return {name: values for name, values in vars(self).items() if values is not None}

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Assignment":
        """Return the chosen rows, by a mask (N,) or by positions (M,)."""
        return Assignment(**{name: values[rows] for name, values in self.arrays.items()})  # type: ignore[arg-type]


def names_of(header: Header, subset: str) -> list[str | None] | None:
    """Return the names of the K clusters of a subset, None for a cluster without; None if no cluster has a name.

    They are the classes of a classifier, or the labels of examples.
    """
    names: list[str | None] | None = header.extra.get("classes") or (header.extra.get("names") or {}).get(subset)
    return names


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
    return {title: subset.arrays for title, subset in subsets.items()}


def read_assignments(path: Path) -> tuple[Header, dict[str, Assignment]]:
    """Read assignments. Raises InputError for a file that is missing, foreign or damaged."""
    header, groups = read_hdf5(path, "assignments")
    names = {entry.name for entry in fields(Assignment)}
    known = {title: {name: group[name] for name in group if name in names} for title, group in groups.items()}
    try:
        assignments = {title: Assignment(**group) for title, group in known.items()}  # type: ignore[arg-type]
    except TypeError as error:
        raise damaged(path, "assignments") from error
    check_names(header, path, {title: assignment.k for title, assignment in assignments.items()})
    return header, assignments


def check_names(header: Header, path: Path, outputs: Mapping[str, int]) -> None:
    """Raise InputError if a header has more or fewer names, as `names_of` gives them, than one for each of K outputs.

    `outputs` is K by subset, of assignments or of the network that made them.
    """
    for title, k in outputs.items():
        for names in (header.extra.get("classes"), (header.extra.get("names") or {}).get(title)):
            if names is not None and len(names) != k:
                raise InputError(
                    f"{path}: does not name each of the {k} clusters of {title}, but {len(names)}; "
                    f"{remedy('make it again with', path, header.format)}"
                )
