"""Measure how wrong pairs may be before clusters fail (L2C, appendix D, figure 8).

It is a supervised study: the pairs are the true pairs of mnist_train with simulated errors, and labels choose the best
of several restarts. Clusters with KCL and CCL, with 10 and 100 outputs, and with all pairs or a tenth of them, for each
recall of similar and of dissimilar pairs. Writes robustness.csv with a line per clustering, robustness.png with heat
maps, robustness.md, robustness.json and results.csv. All files are in the folder robustness of --workdir.
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
from clusterkit.studies.common.runs import random_items
from clusterkit.studies.common.tables import Heading, Part, Rows, first, pivot, where

EXAMPLE = "Example: clusterkit reproduce robustness"

if TYPE_CHECKING:
    from clusterkit.datasets.base import Dataset, Subset
    from clusterkit.methods.common.problem import Run as Execution
    from clusterkit.report.heat_maps import Maps
    from clusterkit.states import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "robustness.csv"
PICTURE = "robustness.png"
GOOD = 0.8
SHARE = f"share_above_{GOOD:g}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The settings of all clusterings. `steps` is the number of values of each recall; `images` None means all."""

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
        """Yield all cells in the order of their runs and of the CSV, the restarts of one setting after each other."""
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
    """The settings of one clustering: loss, K, recalls and density of its pairs, and seed."""

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
    """A cell with its scores, to four digits. `failed` is 1 if the loss was not finite; NMI is then 0."""

    nmi: float
    acc: float
    failed: int

    def rows(self, name: str) -> list[Row]:
        """Return the scores as rows of the data set `name`."""
        scores = {"nmi": self.nmi, "acc": self.acc, "failed": self.failed}
        return rows_of(scores, set=name, subset=self.pairs, method="ccn", loss=self.loss, k=str(self.k), seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class RobustnessOptions(Options):
    steps: Annotated[
        int | None, Flag(help="Number of values of each recall, from 0 to 1.", min=2, default="6, or 11 with --full")
    ] = None
    full: Annotated[
        bool, Flag(name="full", help="Run as published: all images, 15 epochs, the best of 5 restarts. It takes days.")
    ] = False

    @property
    def grid(self) -> Grid:
        grid = FULL if self.full else SHORT
        return grid if self.steps is None else replace(grid, steps=self.steps)


def run(options: RobustnessOptions, context: Context) -> Outcome:
    """Cluster once per cell; return the scores, and the writers of `robustness.csv` and `robustness.png`."""
    from clusterkit.artifacts.files import write_text
    from clusterkit.datasets.catalogue import load_dataset
    from clusterkit.report.heat_maps import write_heat_maps
    from clusterkit.states import StateFolder

    grid = options.grid
    data = load_dataset(grid.dataset, context.data, offline=context.offline, reading=context.reading, size=grid.size)
    subset = random_items(data, grid.images, context.seed)
    if max(grid.ks) > len(subset):
        raise UsageError(f"K = {max(grid.ks)}: {data.name} has only {len(subset)} items; name a larger set")
    states = StateFolder(context.path(OUTPUT), context.resume)
    runs = run_cells(grid, data, subset, states, context)
    best = maps(runs)
    files: dict[str, Callable[[Path], None]] = {
        OUTPUT: lambda path: write_text(path, to_csv(Run, runs)),
        PICTURE: lambda path: write_heat_maps(best, grid.recalls, path),
    }
    rows = [row for run in runs for row in run.rows(data.name)]
    for (loss, k, density), nmis in best.items():
        scores = {"mean_nmi": nmis.mean(), SHARE: (nmis > GOOD).mean()}
        rounded = {name: round(float(value), 4) for name, value in scores.items()}
        rows += rows_of(rounded, set=data.name, subset=of_density(density), method="ccn", loss=loss, k=str(k))
    label_use, failed = "pairs with simulated errors; choice of restarts", sum(run.failed for run in runs)
    facts = {"uses_target_labels": label_use, "failed": failed, "picture": PICTURE}
    return Outcome(rows, facts, files, states.remove)


def of_density(density: float) -> str:
    return f"density{density:g}"


def run_cells(grid: Grid, data: "Dataset", subset: "Subset", states: "StateFolder", context: Context) -> list[Run]:
    """Return the run of each cell. The cells that an interrupted study finished are read, not run again."""
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
        execution = Execution(seed=cell.seed, device=device, state=state, key=key, resume=context.resume)
        runs.append(run_cell(cell, grid, data, subset, execution))
        write_text(partial, to_csv(Run, runs))
        state.unlink(missing_ok=True)
        log.info("robustness: %d of %d, %s: NMI %.3f", len(runs), len(cells), cell.title, runs[-1].nmi)
    return runs


def run_cell(cell: Cell, grid: Grid, data: "Dataset", subset: "Subset", execution: "Execution") -> Run:
    """Train a network on the pairs of a cell; return the cell with its scores."""
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
    titled = Subset(cell.title, subset.images, subset.ids, subset.labels)
    # Vectors are not augmented: the paper does not augment either.
    items = Items(subset=titled, kind=Kind.VECTORS, shape=data.shape)
    labels, failed = subset.labels.numpy(), 0
    try:
        clusters = ccn(items, Question(k=cell.k, pairs=pairs, options=clustering(cell, grid)), execution).cluster
    except DivergedError:
        log.warning("robustness: %s: the loss is not finite, so the run is counted as one cluster", cell.title)
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
        # No drop before the last epoch keeps the rate constant.
        drop_every=grid.epochs,
    )


def maps(runs: list[Run]) -> "Maps":
    """Return maps of the best NMI of the restarts, by loss, K and density."""
    import numpy as np

    best: dict[tuple[str, int, float], dict[tuple[float, float], float]] = {}
    for run in runs:
        nmis = best.setdefault((str(run.loss), run.k, run.density), {})
        recalls = (run.similar_recall, run.dissimilar_recall)
        nmis[recalls] = max(run.nmi, nmis.get(recalls, 0))
    side = round(len(next(iter(best.values()))) ** 0.5)
    return {name: np.array(list(nmis.values())).reshape(side, side) for name, nmis in best.items()}


def read_runs(path: Path, cells: list[Cell]) -> list[Run]:
    """Read the runs of the first of `cells`, which an interrupted study finished.

    Raises InputError if the file holds anything else.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
        runs = [
            Run(**asdict(cell), nmi=float(line[-3]), acc=float(line[-2]), failed=int(line[-1]))
            for cell, line in zip(cells, lines, strict=False)
        ]
        is_valid = list(csv.reader(to_csv(Run, runs).splitlines()))[1:] == lines
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise damaged(path) from error
    if not is_valid:
        raise damaged(path)
    return runs


def damaged(path: Path) -> InputError:
    return InputError(f"{path}: damaged; start again without --resume")


def document(options: RobustnessOptions, outcome: Outcome) -> list[Part]:
    """Return the heat maps, with the mean NMI of each and the share of its cells above GOOD."""
    grid = options.grid
    choice = f", and each cell is the best of {grid.restarts} restarts by the labels" if grid.restarts > 1 else ""
    densities = {of_density(density): f"{density:g}" for density in grid.densities}
    return [
        Heading("Robustness to wrong pairs (L2C, figure 8)", 1),
        f"This is a supervised study: the pairs are true pairs with simulated errors{choice}.",
        f"![NMI by the recall of similar and of dissimilar pairs]({PICTURE})",
        pivot(
            where(outcome.rows, subset=list(densities)),
            {"loss": lambda row: row.loss.upper(), "K": "k", "density": lambda row: densities[row.subset]},
            [("mean NMI", first("mean_nmi")), (f"cells with NMI above {GOOD:g}", percent)],
        ),
        f"Runs whose loss was not finite, which count as one cluster, NMI 0: {outcome.facts['failed']}.",
    ]


def percent(rows: Rows) -> str:
    [row] = where(rows, metric=SHARE)
    return f"{row.value:.0%}"


STUDY = Study(__doc__, EXAMPLE, RobustnessOptions, ("L2C",), run, document)
