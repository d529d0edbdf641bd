"""How wrong pairs may be before clusters fail: L2C, appendix D, figure 8.

A supervised study: the pairs are the true ones of mnist_train with simulated errors, and of several restarts the best
is chosen by the labels too. Clusters with KCL and CCL, 10 and 100 outputs and all or a tenth of the pairs, for each
recall of similar and of dissimilar pairs. Writes robustness.csv with a line a clustering, robustness.png with heat
maps, robustness.md, robustness.json and results.csv in the folder robustness of --workdir.
"""

import csv
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from clusterkit.config import Backbone, Context, Kind, Optimizer
from clusterkit.errors import DivergedError, InputError, UsageError
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import Flag, Options
from clusterkit.studies.common.driver import Outcome, Study, to_csv
from clusterkit.studies.common.runs import drawn
from clusterkit.studies.common.tables import Heading, Part, Rows, first, pivot, where

EXAMPLE = "Example: clusterkit reproduce robustness"

if TYPE_CHECKING:
    from clusterkit.datasets.base import Dataset, Subset
    from clusterkit.methods.common.problem import Run as Execution
    from clusterkit.report.heat_maps import Maps
    from clusterkit.training import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "robustness.csv"
PICTURE = "robustness.png"
GOOD = 0.8
SHARE = f"share_above_{GOOD:g}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is clustered, by which recalls and how often, and how long each network is trained."""

    dataset: str = "mnist_train"
    size: int = 28
    images: int | None = 10_000
    steps: int = 6
    losses: tuple[str, ...] = tuple(Loss)
    ks: tuple[int, ...] = (10, 100)
    densities: tuple[float, ...] = (1.0, 0.1)
    restarts: int = 1
    backbone: Backbone = Backbone.LENET
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.1
    optimizer: Optimizer = Optimizer.SGD

    @property
    def recalls(self) -> list[float]:
        return [round(step / (self.steps - 1), 4) for step in range(self.steps)]

    def cells(self, seed: int) -> Iterator["Cell"]:
        """Yield all cells in the order in which they are run and written, the restarts of one after another."""
        for loss in self.losses:
            for k in self.ks:
                for density in self.densities:
                    for similar in self.recalls:
                        for dissimilar in self.recalls:
                            for restart in range(self.restarts):
                                yield Cell(Loss(loss), k, density, similar, dissimilar, seed + restart)


SHORT = Grid()
FULL = replace(SHORT, images=None, steps=11, epochs=15, restarts=5)
"""As published."""


@dataclass(frozen=True)
class Cell:
    """What one clustering is of: the loss, its K, its pairs, and the seed of everything in it."""

    loss: Loss
    k: int
    density: float
    similar_recall: float
    dissimilar_recall: float
    seed: int

    @property
    def pairs(self) -> str:
        recalls = f"similar{self.similar_recall:g}-dissimilar{self.dissimilar_recall:g}"
        return f"density{self.density:g}-{recalls}"

    @property
    def title(self) -> str:
        return f"{self.loss}-k{self.k}-{self.pairs}-seed{self.seed}"


@dataclass(frozen=True)
class Run(Cell):
    """A cell's scores, to four digits. `failed` is 1 where the loss was no longer a number: one cluster, NMI 0."""

    nmi: float
    acc: float
    failed: int

    def rows(self, name: str) -> list[Row]:
        """Return the scores as rows of the set of this name."""
        scores = {"nmi": self.nmi, "acc": self.acc, "failed": self.failed}
        return rows_of(scores, set=name, subset=self.pairs, method="ccn", loss=self.loss, k=str(self.k), seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class RobustnessOptions(Options):
    steps: Annotated[
        int | None, Flag(help="Values of each recall, from 0 to 1.", min=2, default="6, or 11 with --full")
    ] = None
    full: Annotated[
        bool, Flag(name="full", help="As published: all images, 15 epochs, the best of 5 restarts. Takes days.")
    ] = False

    @property
    def grid(self) -> Grid:
        grid = FULL if self.full else SHORT
        return grid if self.steps is None else replace(grid, steps=self.steps)


def run(options: RobustnessOptions, context: Context) -> Outcome:
    """Cluster the set once a cell and restart; write `robustness.csv` and `robustness.png`; return the scores."""
    from clusterkit.artifacts.files import write_text
    from clusterkit.datasets.catalogue import load_dataset
    from clusterkit.report.heat_maps import write_heat_maps
    from clusterkit.training import StateFolder

    grid = options.grid
    data = load_dataset(grid.dataset, context.data, offline=context.offline, size=grid.size)
    subset = drawn(data, grid.images, context.seed)
    if max(grid.ks) > len(subset):
        raise UsageError(f"K = {max(grid.ks)}: more clusters than {data.name} has images ({len(subset)})")
    states = StateFolder(context.path(OUTPUT), context.resume)
    runs = clustered(grid, data, subset, states, context)
    best = maps(runs)
    files: dict[str, Callable[[Path], None]] = {
        OUTPUT: lambda path: write_text(path, to_csv(Run, runs)),
        PICTURE: lambda path: write_heat_maps(best, grid.recalls, path),
    }
    rows = [row for one in runs for row in one.rows(data.name)]
    for (loss, k, density), nmis in best.items():
        scores = {"mean_nmi": nmis.mean(), SHARE: (nmis > GOOD).mean()}
        rounded = {name: round(float(value), 4) for name, value in scores.items()}
        rows += rows_of(rounded, set=data.name, subset=of_density(density), method="ccn", loss=loss, k=str(k))
    used = "pairs with simulated errors; choice of restarts"
    facts = {"uses_target_labels": used, "failed": sum(one.failed for one in runs), "picture": PICTURE}
    return Outcome(rows, facts, files, states.remove)


def of_density(density: float) -> str:
    return f"density{density:g}"


def clustered(grid: Grid, data: "Dataset", subset: "Subset", states: "StateFolder", context: Context) -> list[Run]:
    """Return a run of each cell; those that an interrupted run finished are read."""
    from clusterkit.artifacts.files import write_text
    from clusterkit.artifacts.header import resolved
    from clusterkit.artifacts.lineage import run_key
    from clusterkit.device import choose_device, describe
    from clusterkit.methods.common.problem import Run as Execution

    device = choose_device(context.device)
    key = run_key("robustness", resolved(grid), context.seed, data.to_learned(), describe(device))
    states.check_key(key)
    cells, partial = list(grid.cells(context.seed)), states.path / OUTPUT
    runs = read_runs(partial, cells) if partial.exists() else []
    if runs:
        log.info("robustness: resumed after cell %d of %d", len(runs), len(cells))
    for cell in cells[len(runs) :]:
        state = states.file(cell.title)
        how = Execution(seed=cell.seed, device=device, state=state, key=key, resume=context.resume)
        runs.append(scored(cell, grid, data, subset, how))
        write_text(partial, to_csv(Run, runs))
        state.unlink(missing_ok=True)
        log.info("robustness: %d of %d, %s: NMI %.3f", len(runs), len(cells), cell.title, runs[-1].nmi)
    return runs


def scored(cell: Cell, grid: Grid, data: "Dataset", subset: "Subset", how: "Execution") -> Run:
    """Train a network on a cell's pairs; return how well its clusters agree with the labels."""
    import numpy as np

    from clusterkit.datasets.base import Subset
    from clusterkit.device import derive_seed
    from clusterkit.methods.ccn import ccn
    from clusterkit.methods.common.problem import Items, Question
    from clusterkit.metrics.clustering import accuracy, nmi
    from clusterkit.pairs.simulated import SimulatedPairs

    assert subset.labels is not None
    seed = derive_seed(cell.seed, "pairs", cell.title)
    pairs = SimulatedPairs(subset.labels, cell.similar_recall, cell.dissimilar_recall, cell.density, seed)
    named = Subset(cell.title, subset.images, subset.ids, subset.labels)
    # As published, nothing is augmented.
    items = Items(subset=named, kind=Kind.VECTORS, shape=data.shape)
    labels, failed = subset.labels.numpy(), 0
    try:
        clusters = ccn(items, Question(k=cell.k, pairs=pairs, options=clustering(cell, grid)), how).cluster
    except DivergedError:
        log.warning("robustness: %s: the loss is no longer a number; counted as one cluster", cell.title)
        clusters, failed = np.zeros(len(labels), np.int32), 1
    score, acc = round(nmi(clusters, labels), 4), round(accuracy(clusters, labels), 4)
    return Run(**asdict(cell), nmi=score, acc=acc, failed=failed)


def clustering(cell: Cell, grid: Grid) -> CcnOptions:
    return CcnOptions(
        loss=cell.loss,
        backbone=grid.backbone,
        epochs=grid.epochs,
        batch_size=grid.batch_size,
        learning_rate=grid.learning_rate,
        optimizer=grid.optimizer,
        # Not before the end, so that the rate stays as it is.
        drop_every=grid.epochs,
    )


def maps(runs: list[Run]) -> "Maps":
    """Return the best NMI of the restarts of each cell, a map a loss, K and density."""
    import numpy as np

    best: dict[tuple[str, int, float], dict[tuple[float, float], float]] = {}
    for one in runs:
        nmis = best.setdefault((str(one.loss), one.k, one.density), {})
        place = (one.similar_recall, one.dissimilar_recall)
        nmis[place] = max(one.nmi, nmis.get(place, 0))
    side = round(len(next(iter(best.values()))) ** 0.5)
    return {name: np.array(list(nmis.values())).reshape(side, side) for name, nmis in best.items()}


def read_runs(path: Path, cells: list[Cell]) -> list[Run]:
    """Read the cells that an interrupted run finished, the first of `cells`.

    Raises InputError where it holds anything else.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
        runs = [
            Run(**asdict(cell), nmi=float(line[-3]), acc=float(line[-2]), failed=int(line[-1]))
            for cell, line in zip(cells, lines, strict=False)
        ]
        whole = list(csv.reader(to_csv(Run, runs).splitlines()))[1:] == lines
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise damaged(path) from error
    if not whole:
        raise damaged(path)
    return runs


def damaged(path: Path) -> InputError:
    return InputError(f"{path}: damaged; start again without --resume")


def document(options: RobustnessOptions, outcome: Outcome) -> list[Part]:
    """Return the heat maps, and the mean of each and the share of its cells that are good."""
    grid = options.grid
    chosen = f", and each cell is the best of {grid.restarts} restarts by the labels" if grid.restarts > 1 else ""
    densities = {of_density(density): f"{density:g}" for density in grid.densities}
    return [
        Heading("Robustness to wrong pairs (L2C, figure 8)", 1),
        f"A supervised study: the pairs are the true ones with simulated errors{chosen}.",
        f"![NMI by the recall of similar and of dissimilar pairs]({PICTURE})",
        pivot(
            where(outcome.rows, subset=list(densities)),
            {"loss": lambda row: row.loss.upper(), "K": "k", "density": lambda row: densities[row.subset]},
            [("mean NMI", first("mean_nmi")), (f"cells with NMI above {GOOD:g}", percent)],
        ),
        f"Runs whose loss was no longer a number, which count as one cluster, NMI 0: {outcome.facts['failed']}.",
    ]


def percent(rows: Rows) -> str:
    [row] = where(rows, metric=SHARE)
    return f"{row.value:.0%}"


STUDY = Study(__doc__, EXAMPLE, RobustnessOptions, ("L2C",), run, document)
