"""The pairs that a clustering uses: those of a file, or those that the target's labels give."""

from dataclasses import dataclass, field
from pathlib import Path

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Array, read_hdf5
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import Learned, again, check_made_from, follows_recipe, g_of, learned_from
from clusterkit.config import BatchNorm, ClusterConfig, Context
from clusterkit.datasets.base import Subset
from clusterkit.device import derive_seed
from clusterkit.errors import InputError
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.simulated import SimulatedPairs
from clusterkit.pairs.source import PairSource
from clusterkit.settings import File, NoisyPairs, OnlyConstraints


def shape_of(header: Header, path: Path) -> tuple[int, ...]:
    """Return the shape of the images of which pairs were predicted. Raises InputError if the header lacks it."""
    if "shape" not in header.extra:
        raise InputError(f"{path}: its header lacks the shape of the images; run: {again(header, path)}")
    return tuple(header.extra["shape"])


@dataclass(frozen=True)
class PairInput:
    """Source of a run's pairs: a file with its `header` and `groups` by subset, or labels if there is no file.

    `inputs` holds the file's hash. If `used` is false, the method reads no pairs, and a file only names the data set.
    """

    used: bool
    header: Header | None = None
    path: Path | None = None
    groups: dict[str, dict[str, Array]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def bn(self) -> BatchNorm:
        """Batch-normalisation statistics with which G predicted the pairs."""
        return BatchNorm.TARGET if self.header is None else BatchNorm(self.header.config.get("bn", BatchNorm.TARGET))

    @property
    def is_by_metric(self) -> bool:
        """Return whether the pairs are cosines of fixed features under a metric."""
        return any("z" in group for group in self.groups.values())

    @property
    def is_by_recipe(self) -> bool:
        """Return whether the pairs are those of a G of characters by the best recipe."""
        return self.header is not None and follows_recipe(self.header)

    @property
    def learned(self) -> Learned:
        """What the G that predicted the pairs learned from; empty if the pairs are not used."""
        if self.header is None or self.path is None or not self.used:
            return {}
        return {"G": learned_from(self.header, self.path)}

    def source(self, subset: Subset, config: ClusterConfig, seed: int, *, every: bool) -> PairSource | None:
        """Return the pairs of a subset, or None if the method reads none or only constraints.

        Raises InputError if there are no pairs of this subset, or unknown pairs although the method needs `every` pair.
        """
        if not self.used or isinstance(config.pairs, OnlyConstraints):
            return None
        if self.header is None or self.path is None:
            return from_labels(subset, config, seed, every=every)
        group = self.groups.get(subset.name)
        if group is None or group["id"].tolist() != subset.ids.tolist():
            raise InputError(
                f"{self.path}: has no pairs of {config.dataset}; run: {again(self.header, self.path, config.dataset)}"
            )
        return from_group(group)


def from_labels(subset: Subset, config: ClusterConfig, seed: int, *, every: bool) -> PairSource:
    """Return the pairs that a subset's labels give, with simulated errors if `--pairs` sets them.

    Raises InputError if labels are missing.
    """
    if subset.labels is None:
        raise InputError(f"--pairs {config.pairs}: {config.dataset} has no labels; use a file of predict-pairs")
    unlabelled = int((subset.labels < 0).sum())
    if unlabelled and every:
        raise InputError(
            f"--pairs {config.pairs}: --method {config.method} needs all pairs, and {unlabelled} items of "
            f"{config.dataset} are unlabelled; use --method ccn"
        )
    if isinstance(config.pairs, NoisyPairs):
        noise = config.pairs
        return SimulatedPairs(
            subset.labels, noise.similar_recall, noise.dissimilar_recall, noise.density,
            derive_seed(seed, "pairs", subset.name),
        )  # fmt: skip
    return LabelPairs(subset.labels)


def read_pairs(config: ClusterConfig, context: Context, *, used: bool) -> PairInput:
    """Read the pairs that the settings name; `used` says whether the method reads them.

    Raises InputError for a file without pairs, or with pairs of another G than the one in the work folder.
    """
    if not isinstance(config.pairs, File) or (not used and config.dataset is not None):
        return PairInput(used)
    path = context.find(config.pairs.name)
    header, groups = read_hdf5(path, "pairs")
    if path.parent == context.workdir:
        check_made_from(header, path, "g", g_of(header, path))
    return PairInput(used, header, path, groups, {"pairs": sha256(path)})
